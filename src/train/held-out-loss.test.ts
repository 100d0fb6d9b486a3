import { expect, it } from "vitest";
import { tinyModel } from "../../test/tiny-model.ts";
import { rowLayout } from "./batches.ts";
import { heldOutLoss } from "./held-out-loss.ts";
import { microBatch } from "./micro-batch.ts";
import { buildRow } from "../data/pack.ts";
import { onBench, randomSample } from "./step.fixture.ts";

it("is the mean over all trained tokens, however samples are packed", async () => {
  const model = tinyModel();
  const samples = Array.from({ length: 70 }, (_, key) =>
    randomSample(model.config, key, { length: 20 + (key % 7) * 12, pictures: key % 3 === 0 ? 1 : 0 }),
  );
  const layout = rowLayout(92, 128);
  const { language } = model.config;
  const progress: number[] = [];
  const expected = { sum: 0, tokens: 0 };
  const loss = await onBench({ model, ...layout }, async ({ stepper }) => {
    for (const sample of samples) {
      const alone = microBatch([buildRow([sample], 128)], language);
      expected.sum += (await stepper.evaluate([alone])) * alone.targetIds.length;
      expected.tokens += alone.targetIds.length;
    }
    return heldOutLoss(stepper, { samples, layout, language, onProgress: (done) => progress.push(done) });
  });
  expect(loss).toBeCloseTo(expected.sum / expected.tokens, 5);
  expect(progress).toEqual([64, 70]);
});
