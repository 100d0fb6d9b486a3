// What happens when a loss or gradient is not finite: the step is never applied; the recipe says whether the run stops.
import { RunError } from "../errors.ts";
import { appendText } from "../formats/node.ts";
import type { EncodedSample } from "../data/encode.ts";
import type { MicroBatch } from "./micro-batch.ts";
import type { Stepper } from "./step.ts";

/** A step that was not applied, as skipped.jsonl holds it. */
export interface SkippedStep {
  readonly stage: string;
  readonly step: number;
  /** e.g. "loss NaN, gradient norm NaN" */
  readonly got: string;
  /** ids of the samples to blame: those whose loss alone is not finite, else all of the step's */
  readonly samples: readonly string[];
}

export interface Outcome {
  readonly loss: number;
  readonly gradNorm: number;
}

/** Steps skipped one after the other until even `skip` stops: the weights, not the samples, are to blame. */
export const mostSkippedInARow = 10;

export const isFinite = ({ loss, gradNorm }: Outcome): boolean => Number.isFinite(loss) && Number.isFinite(gradNorm);

/** Looks at each sample alone to find which are to blame. */
export async function blame(
  stepper: Pick<Stepper, "evaluate">,
  samples: readonly EncodedSample[],
  batchesOf: (samples: readonly EncodedSample[]) => MicroBatch[],
): Promise<string[]> {
  const guilty: string[] = [];
  for (const sample of samples) {
    if (!Number.isFinite(await stepper.evaluate(batchesOf([sample])))) guilty.push(sample.id);
  }
  return guilty.length > 0 ? guilty : samples.map(({ id }) => id);
}

/** `TRAIN_NOT_FINITE`, naming the step and the samples to blame. */
export function notFinite({ stage, step, got, samples }: SkippedStep, skippedBefore = 0): RunError {
  const shown = samples.slice(0, 12).join(", ") + (samples.length > 12 ? ` and ${samples.length - 12} more` : "");
  return new RunError("TRAIN_NOT_FINITE", {
    expected: "a finite loss and gradient",
    got: skippedBefore === 0 ? got : `${got}, after ${skippedBefore} skipped steps in a row`,
    where: `stage ${stage}, step ${step}, samples ${shown}`,
    fix:
      skippedBefore === 0
        ? `look at these samples and lower learning_rate; or go on without such steps: --resume --set stages.${stage}.on_nan=skip`
        : "lower learning_rate and start again",
  });
}

/** Adds a line to skipped.jsonl. */
export function recordSkipped(path: string, skipped: SkippedStep): Promise<void> {
  return appendText(path, `${JSON.stringify(skipped)}\n`);
}
