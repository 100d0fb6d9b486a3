// What waits on an engine whose thread is gone, and how errors cross threads.
import { expect, it } from "vitest";
import { BugError, InputError, LlavaError, RunError } from "../errors.ts";
import { EngineClient } from "./client.ts";
import { recordError, restoreError } from "./protocol.ts";

it("rejects what waits and what follows when the executor is lost, and can still be closed", async () => {
  let held = false;
  let stopped = 0;
  const port = { post() {}, hold: (waiting: boolean) => void (held = waiting), stop: async () => void stopped++ };
  const client = new EngineClient({ threads: 1, leadingSequence: false, port });
  const pending = client.pass().submit();
  expect(held).toBe(true);
  const lost = new RunError("ENGINE_CRASHED", { expected: "a", got: "b" });
  client.fail(lost);
  await expect(pending).rejects.toBe(lost);
  expect(held).toBe(false);
  expect(() => client.pass()).toThrow(lost);
  await client.close();
  expect(stopped).toBe(1);
});

it("keeps class, code and details of errors across threads", () => {
  const details = { expected: "a", got: "b", where: "c", fix: "d", cause: new Error("deep") };
  for (const error of [new InputError("X", details), new RunError("Y", details), new BugError("Z", details)]) {
    const copy = restoreError(structuredClone(recordError(error)));
    expect(copy).toBeInstanceOf(error.constructor);
    expect([copy.code, copy.message]).toEqual([error.code, error.message]);
    expect(copy.details).toEqual({ ...details, cause: expect.stringContaining("deep") });
  }
  const foreign = restoreError(structuredClone(recordError(new TypeError("odd"))));
  expect(foreign).toBeInstanceOf(LlavaError);
  expect(foreign).toMatchObject({ code: "ENGINE_FAILED", exitCode: 1, message: expect.stringContaining("odd") });
});
