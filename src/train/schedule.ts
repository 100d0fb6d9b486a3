// The learning rate over a stage: a linear warm-up, then cosine, linear or constant.
import type { Schedule } from "./recipe.ts";

/**
 * Factor on the learning rate at a step (counted from 1): rises to 1 over the warm-up, then falls to 0 at the end.
 * As transformers' get_cosine_schedule_with_warmup and its relatives, whose first step has factor 0, but counting the
 * step that is being made, so that no step is wasted at a rate of zero.
 */
export function learningRateFactor(schedule: Schedule, step: number, steps: number, warmup: number): number {
  const rising = Math.ceil(warmup * steps);
  if (step <= rising) return step / rising;
  if (schedule === "constant") return 1;
  const progress = (step - rising) / (steps - rising + 1);
  return schedule === "linear" ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress));
}
