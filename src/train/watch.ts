// What a stage knows of its evaluations: when the next is due, which was best, and whether it is time to stop.
import type { EvaluationMetrics } from "./metrics.ts";
import type { EvaluateRecipe } from "./recipe.ts";

/** Kept in checkpoints, so that a resumed stage decides as if it had never stopped. */
export interface WatchState {
  /** the step of the last evaluation; 0 before the first */
  readonly step: number;
  readonly best?: { readonly step: number; readonly value: number };
  /** evaluations in a row that were no better than the best */
  readonly stale: number;
}

const unwatched: WatchState = { step: 0, stale: 0 };

/** Whether the model that `step` left is to be evaluated now. */
export function isDue({ every }: EvaluateRecipe, state: WatchState = unwatched, step: number, steps: number): boolean {
  if (step === 0 || state.step >= step) return false;
  return step === steps || (every > 0 && step % every === 0);
}

/** The state after an evaluation; `better` when it is better than all before. */
export function judge(
  { best: by }: EvaluateRecipe,
  state: WatchState = unwatched,
  step: number,
  found: Pick<EvaluationMetrics, "held_out_loss" | "score">,
): { readonly state: WatchState; readonly better: boolean } {
  const value = by === "loss" ? found.held_out_loss! : found.score!.accuracy;
  const { best } = state;
  const better = best === undefined || (by === "loss" ? value < best.value : value > best.value);
  return {
    state: better ? { step, best: { step, value }, stale: 0 } : { ...state, step, stale: state.stale + 1 },
    better,
  };
}

/** Whether the stage should end before its last step. */
export function isStale({ stop_after: patience }: EvaluateRecipe, state: WatchState | undefined): boolean {
  return patience !== undefined && (state?.stale ?? 0) >= patience;
}
