// A stage's samples as tensors that Python reads without us: tokens, labels, pictures by number, the order of the steps.
import type { SafetensorsEntry } from "../../formats/safetensors-write.ts";
import { learningRateFactor } from "../../train/schedule.ts";
import type { StageData } from "../../train/stage-data.ts";

/** No sample: the last step may be short. */
const NONE = -1;

/**
 * Samples one behind the other: `ids` and `labels` (-100: not learned), cut by `starts` [samples + 1]; `pictures` in the
 * order of their places, cut by `picture_starts`; `order` [steps · batch] of samples; `rates` [steps], factors on the
 * learning rates.
 *
 * @param numberOf a picture's number in the job, by its full name
 */
export function stageEntries(
  { samples, plan, stage }: StageData,
  numberOf: (name: string) => number,
): SafetensorsEntry[] {
  const seen = samples.map(({ images, imageRuns }) => imageRuns.map(({ image }) => numberOf(images[image]!)));
  const rates = Float32Array.from({ length: plan.steps }, (_, i) =>
    learningRateFactor(stage.schedule, i + 1, plan.steps, stage.warmup),
  );
  return [
    integers("ids", joined(samples.map(({ ids }) => ids))),
    integers("labels", joined(samples.map(({ labels }) => labels))),
    starts(
      "starts",
      samples.map(({ ids }) => ids.length),
    ),
    integers("pictures", joined(seen)),
    starts(
      "picture_starts",
      seen.map(({ length }) => length),
    ),
    integers("order", orderOf(plan, stage.batch_size)),
    { name: "rates", dtype: "F32", shape: [rates.length], data: rates },
  ];
}

function orderOf(plan: StageData["plan"], batchSize: number): Int32Array {
  const order = new Int32Array(plan.steps * batchSize).fill(NONE);
  for (let step = 1; step <= plan.steps; step++) order.set(plan.samplesOf(step), (step - 1) * batchSize);
  return order;
}

function joined(lists: readonly ArrayLike<number>[]): Int32Array {
  const all = new Int32Array(lists.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const list of lists) {
    all.set(list, offset);
    offset += list.length;
  }
  return all;
}

const integers = (name: string, data: Int32Array): SafetensorsEntry => ({
  name,
  dtype: "I32",
  shape: [data.length],
  data,
});

/** Where each list begins, and where the last ends. */
function starts(name: string, lengths: readonly number[]): SafetensorsEntry {
  const data = new BigInt64Array(lengths.length + 1);
  let sum = 0;
  for (const [i, length] of lengths.entries()) data[i + 1] = BigInt((sum += length));
  return { name, dtype: "I64", shape: [data.length], data };
}
