// Which samples make which step, as a pure function of the seed, and how they are laid into rows.
import type { EncodedSample } from "../data/encode.ts";
import { epochOrder } from "../data/order.ts";
import { buildRow, packRows } from "../data/pack.ts";
import { shareSamples } from "../data/share.ts";
import type { LanguageConfig } from "../models/config.ts";
import { type MicroBatch, microBatch } from "./micro-batch.ts";

/** A stage's samples; `index` decides ties and the order. */
export interface StepPlan {
  readonly steps: number;
  readonly stepsPerEpoch: number;
  /** indices of the samples of a step, counted from 1 */
  samplesOf(step: number): Int32Array;
}

/** An epoch's order, rearranged; `start` samples of its first step are the epoch's before it. */
export type Arrange = (order: Int32Array, start: number) => Int32Array;

/** Epochs follow each other without a gap: the last batch of an epoch is filled from the next, the very last may be short. */
export function planSteps(
  count: number,
  batchSize: number,
  length: { readonly epochs?: number; readonly steps?: number },
  seed: number,
  arrange: Arrange = (order) => order,
): StepPlan {
  const total = length.steps === undefined ? Math.round((length.epochs ?? 1) * count) : length.steps * batchSize;
  const orders = new Map<number, Int32Array>();
  const order = (epoch: number): Int32Array => {
    const known = orders.get(epoch) ?? arrange(epochOrder(seed, epoch, count), (epoch * count) % batchSize);
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
/** Row lengths are multiples of this: few programs to compile, little padding. */
const lengthStep = 64;
/** Short samples are packed into rows of up to this: longer ones save no more padding. */
const longRow = 640;
/** Tokens of a row at which attention costs as much as all other products of a layer (measured, SmolLM2-135M). */
const attentionParity = 2500;

export interface RowLayout {
  /** tokens of the longest row; a multiple of `lengthStep` when chosen by us */
  readonly length: number;
  /** tokens of the largest micro-batch */
  readonly tokens: number;
  /** rows as short as each step's samples allow, rather than all of one length */
  readonly adaptive: boolean;
  /** how many samples about the same pictures are one document at most; absent: each sample is one */
  readonly share?: number;
}

/** What the longest sample asks for; a wanted length is kept for every row. Documents of several samples fit a row too. */
export function rowLayout(longest: number, wanted: number | "auto", share?: number): RowLayout {
  const length = wanted === "auto" ? Math.max(longRow, upTo(longest, lengthStep)) : wanted;
  const tokens = Math.max(length, targetTokens);
  return { length, tokens, adaptive: wanted === "auto", ...(share !== undefined && { share }) };
}

/** A step's samples as the documents that are packed: themselves, or joined where they share pictures. */
export function documentsOf(samples: readonly EncodedSample[], { share, length }: RowLayout): readonly EncodedSample[] {
  return share === undefined ? samples : shareSamples(samples, { most: share, longest: length });
}

/** Buffers that hold the largest micro-batch of any layout. */
export function roomFor(layouts: readonly RowLayout[]): Pick<RowLayout, "length" | "tokens"> {
  const most = (of: (layout: RowLayout) => number): number => layouts.reduce((n, layout) => Math.max(n, of(layout)), 0);
  return { length: most(({ length }) => length), tokens: most(({ tokens }) => tokens) };
}

const upTo = (n: number, step: number): number => Math.ceil(n / step) * step;

/** Tokens, padding included, weighted by what attention adds in long rows: proportional to their time. */
export const rowsCost = (rows: number, length: number): number => rows * length * (1 + length / attentionParity);

/** A step's documents in rows of one length. */
export interface PackedStep {
  readonly length: number;
  /** indices of the samples of each row */
  readonly rows: readonly (readonly number[])[];
}

/** Packs documents into the rows that cost least: padding counts as tokens, attention grows with a row's square. */
export function packStep(lengths: readonly number[], layout: RowLayout): PackedStep {
  const longest = Math.max(...lengths);
  // a layout's own length need not be a multiple
  const shortest = layout.adaptive
    ? Math.min(upTo(longest, lengthStep), Math.max(layout.length, longest))
    : layout.length;
  let best: PackedStep | undefined;
  let bestCost = Infinity;
  for (let length = shortest; length <= Math.max(layout.length, shortest); length += lengthStep) {
    const rows = packRows(lengths, length);
    const cost = rowsCost(rows.length, length);
    if (cost < bestCost) [best, bestCost] = [{ length, rows }, cost];
  }
  return best!;
}

/** Packs a step's samples into rows and those into micro-batches of nearly equal size. */
export function microBatches(
  samples: readonly EncodedSample[],
  layout: RowLayout,
  language: LanguageConfig,
): MicroBatch[] {
  const documents = documentsOf(samples, layout);
  const { length, rows: packed } = packStep(
    documents.map(({ ids }) => ids.length),
    layout,
  );
  const rows = packed.map((members) =>
    buildRow(
      members.map((i) => documents[i]!),
      length,
    ),
  );
  return cutRows(rows.length, length, layout).map(([start, end]) => microBatch(rows.slice(start, end), language));
}

/** Where each micro-batch starts and ends among a step's rows: as few as the layout allows, of nearly equal size. */
export function cutRows(rows: number, length: number, { tokens }: RowLayout): (readonly [number, number])[] {
  const count = Math.ceil(rows / Math.max(1, Math.floor(tokens / length)));
  const bound = (i: number): number => Math.floor((i * rows) / count);
  return Array.from({ length: count }, (_, i) => [bound(i), bound(i + 1)] as const);
}
