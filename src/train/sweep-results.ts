// What the runs of a sweep came to, and in which order they are shown: the best first.
import { readMetrics } from "./metrics.ts";
import type { Variant } from "./sweep.ts";

/** A finished run's figures; those of its evaluations are of the last evaluated stage's best one. */
export interface RunFigures {
  readonly held_out_loss?: number;
  /** accuracy on the recipe's questions, 0–1 */
  readonly score?: number;
  /** the step of that evaluation */
  readonly best_step?: number;
  /** mean of the last stage's last twentieth of steps */
  readonly loss: number;
  /** of all steps and evaluations */
  readonly seconds: number;
}

export interface SweepResult extends Partial<RunFigures> {
  readonly name: string;
  readonly values: Variant["values"];
  readonly output: string;
  /** the model that the figures belong to */
  readonly model?: string;
  /** why there are no figures */
  readonly failed?: string;
}

/** Reads a run's metrics.jsonl; undefined when no step was made. */
export async function runFigures(metricsPath: string): Promise<RunFigures | undefined> {
  const { steps, evaluations } = await readMetrics(metricsPath);
  const last = steps.at(-1);
  if (last === undefined) return undefined;
  const tail = steps.filter(({ stage, step }) => stage === last.stage && step > last.step - Math.ceil(last.step / 20));
  const stage = evaluations.at(-1)?.stage;
  const best = evaluations.findLast((found) => found.stage === stage && found.best);
  return {
    ...(best?.held_out_loss !== undefined && { held_out_loss: best.held_out_loss }),
    ...(best?.score && { score: best.score.accuracy }),
    ...(best && { best_step: best.step }),
    loss: tail.reduce((sum, { loss }) => sum + loss, 0) / tail.length,
    seconds: [...steps, ...evaluations].reduce((sum, { seconds }) => sum + seconds, 0),
  };
}

/** What runs are sorted by: the training loss where nothing is evaluated. */
export type SortKey = "held_out_loss" | "score" | "loss";

/** The best first; failed runs last. */
export function sortResults(results: readonly SweepResult[], by: SortKey): SweepResult[] {
  const rank = (result: SweepResult): number => {
    const value = result[by];
    if (value === undefined) return Infinity;
    return by === "score" ? -value : value;
  };
  // two infinities have no difference
  return results.toSorted((a, b) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b)));
}
