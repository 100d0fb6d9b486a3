// What a person sees of a training run: sums as a table, then one progress line per phase.
import type { TrainEvent } from "../train/events.ts";
import { type EvaluationMetrics, shareName } from "../train/metrics.ts";
import { grouped, table } from "./output.ts";
import { log, type Progress, startProgress } from "./progress.ts";

export interface TrainView {
  show(event: TrainEvent): void;
  finish(): void;
}

/** Draws events on stderr. */
export function createTrainView(): TrainView {
  let current: { readonly key: string; readonly progress: Progress } | undefined;
  const finish = (note?: string): void => {
    current?.progress.finish(note);
    current = undefined;
  };
  const line = (key: string, unit: string, total: number | undefined, from = 0): Progress => {
    if (current?.key === key) return current.progress;
    finish();
    current = { key, progress: startProgress({ label: key, unit, from, ...(total === undefined ? {} : { total }) }) };
    return current.progress;
  };
  return {
    show: (event) => {
      switch (event.type) {
        case "checking":
          return line(
            `check ${event.stage}: ${event.progress.stage}`,
            event.progress.stage,
            event.progress.total,
          ).update(event.progress.done);
        case "features":
          return line("features", "pictures", event.progress.total).update(event.progress.done);
        case "step": {
          const { stage, step, steps, loss, tokens, seconds } = event.metrics;
          return line(stage, "steps", steps, step - 1).update(
            step,
            `loss ${loss.toFixed(3)}, ${grouped(Math.round(tokens / seconds))} tokens/s`,
          );
        }
        case "evaluating": {
          const { part, done, total } = event.progress;
          return line(`${event.stage}: evaluation`, part, total).update(done);
        }
        case "checkpoint":
          return;
        default:
          finish();
          return void describe(event).forEach(log);
      }
    },
    finish,
  };
}

function describe(
  event: Exclude<TrainEvent, { type: "checking" | "features" | "step" | "evaluating" | "checkpoint" }>,
): string[] {
  switch (event.type) {
    case "checked": {
      const sums = Object.entries(event.sums).map(([name, n]) => [`  ${name.replaceAll("_", " ")}`, grouped(n)]);
      return [`stage ${event.stage}`, table(sums, [1])];
    }
    case "stage":
      return event.from > 1 ? [`${event.stage}: going on at step ${event.from} of ${event.steps}`] : [];
    case "skipped":
      return [`${event.stage}: done before`];
    case "fallback":
      return [`warning: ${event.checkpoint} is damaged; going on from ${event.instead}`];
    case "machine":
      return [
        `warning: other than before the interruption: ${event.changes.join(", ")}; numbers may differ in their last digits`,
      ];
    case "not_finite": {
      const { stage, step, got, samples } = event.skipped;
      return [`warning: ${stage} step ${step} is left out: ${got} (samples ${samples.slice(0, 12).join(", ")})`];
    }
    case "evaluation":
      return [describeEvaluation(event.metrics)];
    case "stopped":
      return [`${event.stage}: stopped after step ${event.step}, as nothing was better than step ${event.best}`];
    case "lost":
      return [
        `warning: the weights of step ${event.step}, the best of ${event.stage}, are damaged; the last step's stay`,
      ];
    case "interrupted":
      return [`stopped; ${event.stage} is saved up to step ${event.step}`];
    case "saved":
      return [`saved ${event.path}`];
  }
}

/** "instruct, step 200 of 1,000: held-out loss 1.234, pope 81.0 %, the best so far" */
function describeEvaluation({ stage, step, steps, held_out_loss, score, best }: EvaluationMetrics): string {
  const found = [
    held_out_loss === undefined ? [] : [`held-out loss ${held_out_loss.toFixed(3)}`],
    score === undefined
      ? []
      : [
          `${score.task} ${(100 * score.accuracy).toFixed(1)} %${score.figure === undefined ? "" : ` ${shareName(score)}`}`,
        ],
    best ? ["the best so far"] : [],
  ].flat();
  return `${stage}, step ${grouped(step)} of ${grouped(steps)}: ${found.join(", ")}`;
}
