// Evaluates a stage where it is due, notes what was found, and keeps the weights of the best evaluation.
import { findBest, restoreBest, writeBest } from "./best.ts";
import type { CheckpointOrigin } from "./checkpoint-files.ts";
import { type EvaluationOptions, evaluateStage } from "./evaluation.ts";
import { appendMetrics, type EvaluationMetrics } from "./metrics.ts";
import { isDue, judge, type WatchState } from "./watch.ts";

export interface StageWatch extends EvaluationOptions {
  readonly origin: CheckpointOrigin;
  /** of checkpoints */
  readonly folder: string;
  /** metrics.jsonl */
  readonly metrics: string;
}

/** Evaluates after `step` if it is time to. An evaluation that was interrupted counts as not begun: it is due again. */
export async function watchStage(
  watch: StageWatch,
  step: number,
  state: WatchState | undefined,
): Promise<WatchState | undefined> {
  const { data, emit, engine, parts, origin, folder, signal } = watch;
  const { stage, plan } = data;
  if (stage.evaluate === undefined || !isDue(stage.evaluate, state, step, plan.steps)) return state;
  const started = performance.now();
  try {
    const found = await evaluateStage(watch, step);
    const verdict = judge(stage.evaluate, state, step, found);
    if (verdict.better) await writeBest(engine, parts, { stage: stage.name, step, origin }, folder);
    const seconds = (performance.now() - started) / 1000;
    const { name } = stage;
    const metrics: EvaluationMetrics = {
      stage: name,
      step,
      steps: plan.steps,
      ...found,
      best: verdict.better,
      seconds,
    };
    await appendMetrics(watch.metrics, metrics);
    emit({ type: "evaluation", metrics });
    return verdict.state;
  } catch (error) {
    if (signal?.aborted === true) return state;
    throw error;
  }
}

/** Leaves the weights that the recipe asks for in the engine: those of the last step, or of the best evaluation. */
export async function settleStage(
  { data, engine, parts, folder, emit }: StageWatch,
  state: WatchState | undefined,
): Promise<void> {
  const { stage } = data;
  const step = state?.best?.step;
  if (stage.evaluate?.keep !== "best" || step === undefined || step === state?.step) return;
  const best = await findBest(folder, stage.name, step);
  if (best === undefined) emit({ type: "lost", stage: stage.name, step });
  else await restoreBest(engine, parts, best);
}
