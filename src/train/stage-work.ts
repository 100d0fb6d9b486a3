// What a stage's steps compute, as sizes alone: the micro-batches of every step, before anything is loaded.
import { cutRows, documentsOf, packStep, type RowLayout, rowsCost } from "./batches.ts";
import type { StageData } from "./stage-data.ts";

/** One step's micro-batches: rows of one length. */
export interface StepWork {
  readonly step: number;
  readonly length: number;
  /** rows of each micro-batch */
  readonly rows: readonly number[];
}

/** Packing every step of a large stage would take longer than its first steps: so many at most are looked at. */
const mostSteps = 2000;

/** The work of all steps, or of many spread evenly over the stage. */
export function stageWork({ samples, layout, plan }: Pick<StageData, "samples" | "layout" | "plan">): StepWork[] {
  const count = Math.min(plan.steps, mostSteps);
  return Array.from({ length: count }, (_, i) => {
    const step = 1 + Math.floor((i * plan.steps) / count);
    const documents = documentsOf(
      Array.from(plan.samplesOf(step), (at) => samples[at]!),
      layout,
    );
    return stepWork(
      step,
      documents.map(({ ids }) => ids.length),
      layout,
    );
  });
}

function stepWork(step: number, lengths: readonly number[], layout: RowLayout): StepWork {
  const { length, rows } = packStep(lengths, layout);
  return { step, length, rows: cutRows(rows.length, length, layout).map(([start, end]) => end - start) };
}

/** Whether every step of the stage is one micro-batch; said only where all of them were looked at. */
export function isWhole(work: readonly StepWork[], steps: number): boolean {
  return work.length === steps && work.every(({ rows }) => rows.length === 1);
}

/** How many sizes of micro-batches there are. */
export function sizesOf(work: readonly StepWork[]): number {
  return new Set(work.flatMap(({ length, rows }) => rows.map((n) => `${n} ${length}`))).size;
}

/** Proportional to a step's time. */
export const costOf = ({ length, rows }: StepWork): number =>
  rowsCost(
    rows.reduce((sum, n) => sum + n, 0),
    length,
  );
