import fc from "fast-check";
import { expect, it } from "vitest";
import { showBytes, showSeconds, table } from "./output.ts";
import { startProgress, type ProgressStream } from "./progress.ts";

function record(isTTY: boolean): { stream: ProgressStream; lines: string[]; clock: { ms: number } } {
  const lines: string[] = [];
  return { stream: { isTTY, columns: 60, write: (text) => lines.push(text) }, lines, clock: { ms: 0 } };
}

it("redraws one line at most ten times a second, within the terminal's width", () => {
  const { stream, lines, clock } = record(true);
  const progress = startProgress({ label: "train", unit: "steps", total: 1000, stream, now: () => clock.ms });
  for (; clock.ms < 10_000; clock.ms += 10)
    progress.update(clock.ms / 10, "loss 2.3 and much more text than fits the line");
  expect(lines.length).toBeGreaterThan(90);
  expect(lines.length).toBeLessThanOrEqual(100);
  for (const line of lines) {
    expect(line.startsWith("\r\u001B[2K")).toBe(true);
    expect(line.length - 5).toBeLessThan(60);
  }
  expect(lines[49]).toContain("train  500/1,000 (50 %) steps  100 steps/s  5.0 s left");
});

it("writes plain lines every five seconds where there is no terminal", () => {
  const { stream, lines, clock } = record(false);
  const progress = startProgress({ label: "teach", unit: "pictures", stream, now: () => clock.ms });
  for (; clock.ms <= 12_000; clock.ms += 100) progress.update(clock.ms / 100);
  progress.finish("3 refused");
  expect(lines).toEqual([
    "teach  50 pictures  10 pictures/s\n",
    "teach  100 pictures  10 pictures/s\n",
    "teach  120 pictures in 12 s  3 refused\n",
  ]);
});

it("says nothing of what is done at once", () => {
  const { stream, lines, clock } = record(false);
  const progress = startProgress({ label: "x", unit: "y", stream, now: () => clock.ms });
  clock.ms = 1500;
  progress.update(1);
  progress.finish();
  expect(lines).toEqual([]);
});

it("follows a rate that changes", () => {
  const { stream, lines, clock } = record(true);
  const progress = startProgress({ label: "x", unit: "steps", total: 100, stream, now: () => clock.ms });
  clock.ms = 60_000;
  progress.update(1);
  for (let done = 2; done <= 41; done++) progress.update(done, ((clock.ms += 1000), undefined));
  expect(lines.at(-1)).toContain("41/100 (41 %) steps  1.0 steps/s  59 s left");
});

it("counts from where it goes on", () => {
  const { stream, lines, clock } = record(false);
  const options = { label: "instruct", unit: "steps", total: 1200, from: 1000 };
  const progress = startProgress({ ...options, stream, now: () => clock.ms });
  for (let step = 1001; step <= 1010; step++) progress.update(step, ((clock.ms += 2_000), undefined));
  progress.finish();
  expect(lines.at(-2)).toContain("2.0 s each");
  expect(lines.at(-1)).toContain("10 steps in 20 s");
});

it("shows durations and sizes as people say them", () => {
  expect([0.25, 45, 200, 3600, 7505].map(showSeconds)).toEqual([
    "0.3 s",
    "45 s",
    "3 min 20 s",
    "1 h 00 min",
    "2 h 05 min",
  ]);
  expect([0, 999, 1000, 98_362_432, 1e15].map(showBytes)).toEqual(["0 B", "999 B", "1.0 kB", "98.4 MB", "1000 TB"]);
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e7, noNaN: true }), (seconds) => {
      const [, h = "0", min = "0", s = "0"] = /^(?:(\d+) h ?)?(?:(\d+) min ?)?(?:([\d.]+) s)?$/.exec(
        showSeconds(seconds),
      )!;
      expect(Math.abs(Number(h) * 3600 + Number(min) * 60 + Number(s) - seconds)).toBeLessThanOrEqual(60);
    }),
  );
});

it("lines columns up", () => {
  expect(
    table(
      [
        ["a", "1"],
        ["bcd", "20"],
      ],
      [1],
    ),
  ).toBe("a     1\nbcd  20");
});
