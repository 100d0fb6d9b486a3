// Event files byte for byte as TensorBoard's own writer makes them (tensorboard 2.21.0), and what a listener writes.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import type { EvaluationMetrics, StepMetrics } from "./metrics.ts";
import { createTensorBoard, encodeRestart, encodeScalars, encodeVersion } from "./tensorboard.ts";

const folder = mkdtempSync(join(tmpdir(), "tensorboard-"));
afterAll(() => rmSync(folder, { recursive: true }));

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

// made by: RecordWriter(file).write(Event(wall_time=…, …).SerializeToString()) of the tensorboard package
it("encodes as TensorBoard's own writer does", () => {
  expect(hex(encodeVersion(1790000000.25))).toBe(
    "1800000000000000a37f4b2209000010e04eacda411a0d627261696e2e4576656e743a32e9383659",
  );
  expect(hex(encodeRestart(1790000000.25, 200))).toBe(
    "100000000000000095fbfe1809000010e04eacda4110c8013a02080184f28184",
  );
  expect(hex(encodeScalars(1790000000.5, 7, { loss: 2.25, "learning_rate/projector": 0.001 }))).toBe(
    "3a000000000000001295eae209000020e04eacda4110072a2d0a0b0a046c6f737315000010400a1e0a176c6561726e696e675f726174652f70726f6a6563746f72156f12833a83f7f8ba",
  );
});

const step = (number: number): StepMetrics => ({
  stage: "align",
  step: number,
  steps: 9,
  loss: 1 / number,
  learning_rate: 0.5,
  learning_rates: { projector: 0.5, language: 0.25 },
  grad_norm: 2,
  tokens: 30,
  supervised_tokens: 10,
  seconds: 0.5,
});

it("writes a file for each start of a stage; a later start takes back the steps that it makes anew", () => {
  let ms = 1_790_000_000_000;
  const now = (): number => ms;
  const first = createTensorBoard(folder, now);
  // nothing before a stage begins
  first({ type: "step", metrics: step(1) });
  first({ type: "stage", stage: "align", from: 1, steps: 9 });
  for (const number of [1, 2, 3]) first({ type: "step", metrics: step(number) });
  ms += 1500;
  const second = createTensorBoard(folder, now);
  second({ type: "stage", stage: "align", from: 3, steps: 9 });
  const found: EvaluationMetrics = {
    stage: "align",
    step: 3,
    steps: 9,
    held_out_loss: 0.75,
    score: { task: "pope", n: 4, accuracy: 0.5 },
    answers: [],
    best: true,
    seconds: 1,
  };
  second({ type: "evaluation", metrics: found });
  const files = readdirSync(join(folder, "align")).toSorted();
  expect(files.map((name) => name.replace(/\d+$/, "PID"))).toEqual([
    "events.out.tfevents.1790000000.000.PID",
    "events.out.tfevents.1790000001.500.PID",
  ]);
  const [before, after] = files.map((name) => hex(readFileSync(join(folder, "align", name))));
  const scalars = (number: number) => ({
    loss: 1 / number,
    grad_norm: 2,
    "learning_rate/projector": 0.5,
    "learning_rate/language": 0.25,
    tokens_per_second: 60,
  });
  expect(before).toBe(
    [encodeVersion(1_790_000_000), ...[1, 2, 3].map((n) => encodeScalars(1_790_000_000, n, scalars(n)))]
      .map(hex)
      .join(""),
  );
  expect(after).toBe(
    [
      encodeVersion(1_790_000_001.5),
      encodeRestart(1_790_000_001.5, 3),
      encodeScalars(1_790_000_001.5, 3, { held_out_loss: 0.75, "accuracy/pope": 0.5 }),
    ]
      .map(hex)
      .join(""),
  );
});
