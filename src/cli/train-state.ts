// What the live view shows of a training run, followed event by event.
import type { TrainEvent } from "../train/events.ts";
import type { EvaluationMetrics, SampleAnswer, StepMetrics } from "../train/metrics.ts";

/** A stage under way. */
export interface StageState {
  readonly stage: string;
  /** counts from 1; of all stages of the recipe */
  readonly number: number;
  readonly of: number;
  readonly steps: number;
  /** the first step that this process makes */
  readonly from: number;
  readonly losses: readonly number[];
  readonly last?: StepMetrics;
  readonly evaluations: readonly EvaluationMetrics[];
  /** from the newest evaluation, in turn */
  readonly sample?: SampleAnswer;
  /** what is done between two steps, e.g. "evaluating: 3 of 40 questions" */
  readonly activity?: string;
  /** seconds until the stage ends; absent before its second step */
  readonly secondsLeft?: number;
}

/** Steps whose mean says how long the next will take: the first ones compile. */
const RECENT = 20;

/** Follows a run; gives the stage under way after each event, undefined between stages. */
export function followTraining(now: () => number): (event: TrainEvent) => StageState | undefined {
  const stages: string[] = [];
  const recent: number[] = [];
  let losses: number[] = [];
  let state: StageState | undefined;
  let [startedAt, inSteps] = [0, 0];
  return (event) => {
    if (event.type === "checked") stages.push(event.stage);
    else if (event.type === "stage") {
      [startedAt, inSteps, recent.length, losses] = [now(), 0, 0, []];
      const { stage, from, steps } = event;
      state = { stage, number: stages.indexOf(stage) + 1, of: stages.length, steps, from, losses, evaluations: [] };
    } else if (state === undefined) return undefined;
    else if (event.type === "step") {
      const { seconds, loss, step } = event.metrics;
      recent.push(seconds);
      if (recent.length > RECENT) recent.shift();
      inSteps += seconds;
      losses.push(loss);
      // checkpoints and evaluations take their share of every step to come
      const between = Math.max(0, (now() - startedAt) / 1000 - inSteps) / losses.length;
      const pace = recent.reduce((sum, one) => sum + one, 0) / recent.length + between;
      const { activity: _, ...rest } = state;
      state = {
        ...rest,
        last: event.metrics,
        ...(losses.length > 1 && { secondsLeft: pace * (state.steps - step) }),
      };
    } else if (event.type === "evaluating") {
      const { part, done, total } = event.progress;
      state = { ...state, activity: `evaluating: ${done} of ${total} ${part}` };
    } else if (event.type === "evaluation") {
      const evaluations = [...state.evaluations, event.metrics];
      const { answers } = event.metrics;
      const sample = answers[evaluations.length % answers.length];
      state = { ...state, evaluations, ...(sample !== undefined && { sample }) };
    } else if (event.type === "saved" || event.type === "interrupted" || isEnd(event, state)) state = undefined;
    return state;
  };
}

/** The checkpoint behind a stage's last step. */
function isEnd(event: TrainEvent, { last, steps }: StageState): boolean {
  return event.type === "stopped" || (event.type === "checkpoint" && last?.step === steps);
}
