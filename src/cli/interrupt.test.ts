import { afterEach, expect, it, vi } from "vitest";
import { interruptible, Interrupted } from "./interrupt.ts";

const stop = (): unknown => process.emit("SIGINT");
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

it("gives back what work returns, and listens no longer", async () => {
  const before = process.listenerCount("SIGINT");
  await expect(interruptible(() => Promise.resolve(3))).resolves.toBe(3);
  await expect(interruptible(() => Promise.reject(new RangeError("x")))).rejects.toThrow(RangeError);
  expect(process.listenerCount("SIGINT")).toBe(before);
});

it("tells work to stop, and lets it end in order", async () => {
  const work = interruptible(async (signal) => {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    return "saved";
  });
  stop();
  await expect(work).resolves.toBe("saved");
});

it.each([(signal: AbortSignal) => signal.reason as unknown, () => new DOMException("x", "AbortError")])(
  "throws Interrupted when work gives up",
  async (reason) => {
    const work = interruptible(
      (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(reason(signal)))),
    );
    stop();
    await expect(work).rejects.toBeInstanceOf(Interrupted);
  },
);

it("passes on what fails for another reason", async () => {
  const work = interruptible(
    (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(new RangeError("disk")))),
  );
  stop();
  await expect(work).rejects.toThrow(RangeError);
});

it("ends the program at the second Ctrl-C, but not at npm's echo of the first", async () => {
  vi.useFakeTimers();
  const exit = vi.spyOn(process, "exit").mockReturnValue(undefined as never);
  let release: () => void = () => undefined;
  const work = interruptible(() => new Promise<void>((resolve) => (release = resolve)));
  stop();
  vi.advanceTimersByTime(20);
  stop();
  expect(exit).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1000);
  stop();
  expect(exit).toHaveBeenCalledExactlyOnceWith(130);
  release();
  await work;
});
