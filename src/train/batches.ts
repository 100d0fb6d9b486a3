// Which samples make which step, as a pure function of the seed, and how they are laid into rows.
import type { EncodedSample } from "../data/encode.ts";
import { epochOrder } from "../data/order.ts";
import { buildRow, packRows } from "../data/pack.ts";
import type { LanguageConfig } from "../models/config.ts";
import { type MicroBatch, microBatch, rowGroups } from "./micro-batch.ts";

/** A stage's samples; `index` decides ties and the order. */
export interface StepPlan {
  readonly steps: number;
  readonly stepsPerEpoch: number;
  /** indices of the samples of a step, counted from 1 */
  samplesOf(step: number): Int32Array;
}

/** Epochs follow each other without a gap: the last batch of an epoch is filled from the next, the very last may be short. */
export function planSteps(
  count: number,
  batchSize: number,
  length: { readonly epochs?: number; readonly steps?: number },
  seed: number,
): StepPlan {
  const total = length.steps === undefined ? Math.round((length.epochs ?? 1) * count) : length.steps * batchSize;
  const orders = new Map<number, Int32Array>();
  const order = (epoch: number): Int32Array => {
    const known = orders.get(epoch) ?? epochOrder(seed, epoch, count);
    // two epochs at most are in use at a time
    orders.delete(epoch - 2);
    orders.set(epoch, known);
    return known;
  };
  return {
    steps: Math.ceil(total / batchSize),
    stepsPerEpoch: Math.ceil(count / batchSize),
    samplesOf: (step) => {
      const start = (step - 1) * batchSize;
      const size = Math.min(batchSize, total - start);
      return Int32Array.from({ length: size }, (_, i) => order(Math.floor((start + i) / count))[(start + i) % count]!);
    },
  };
}

/** How many tokens of a micro-batch keep the matrix products busy without costing memory. */
const targetTokens = 1024;

export interface RowLayout {
  /** tokens of a row */
  readonly length: number;
  /** rows of the largest micro-batch */
  readonly rows: number;
}

/** Rows as short as the longest sample allows (attention costs their square), at least 256, a multiple of 64. */
export function rowLayout(longest: number, wanted: number | "auto"): RowLayout {
  const length = wanted === "auto" ? Math.max(256, Math.ceil(longest / 64) * 64) : wanted;
  return { length, rows: 2 ** Math.max(0, Math.floor(Math.log2(targetTokens / length))) };
}

/** Packs a step's samples into rows and those into micro-batches. */
export function microBatches(
  samples: readonly EncodedSample[],
  layout: RowLayout,
  language: LanguageConfig,
): MicroBatch[] {
  const packed = packRows(
    samples.map(({ ids }) => ids.length),
    layout.length,
  );
  const rows = packed.map((members) =>
    buildRow(
      members.map((i) => samples[i]!),
      layout.length,
    ),
  );
  let start = 0;
  return rowGroups(rows.length, layout.rows).map((size) => microBatch(rows.slice(start, (start += size)), language));
}
