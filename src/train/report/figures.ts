// The figures of a run: what a person wants to know first, and what runs are compared by.
import { type EvaluationMetrics, shareName, type StepMetrics } from "../metrics.ts";
import { finite, type Point, runningMean } from "./curve.ts";
import type { ReportData, StageReport } from "./data.ts";

/** A stage in numbers; what was never measured is absent. */
export interface StageFigures {
  readonly stage: string;
  readonly steps: number;
  readonly planned: number;
  /** means over a twentieth of the steps, at the beginning and at the end */
  readonly first_loss?: number;
  readonly loss?: number;
  readonly held_out_loss?: number;
  readonly held_out_step?: number;
  /** of the questions that were asked during training */
  readonly score?: number;
  /** "right answers", or the figure that it is */
  readonly score_name?: string;
  readonly tokens: number;
  readonly supervised_tokens: number;
  /** steps alone, and steps with evaluations */
  readonly step_seconds: number;
  readonly seconds: number;
  readonly tokens_per_second?: number;
}

/** A run as `llava report --json` prints it. */
export interface RunFigures {
  readonly name: string;
  readonly stages: readonly StageFigures[];
  readonly seconds: number;
  readonly peak_bytes?: number;
  readonly scores: ReportData["scores"];
}

export function runFigures({ name, stages, peakBytes, scores }: ReportData): RunFigures {
  const figures = stages.map(stageFigures);
  return {
    name,
    stages: figures,
    seconds: figures.reduce((sum, { seconds }) => sum + seconds, 0),
    ...(peakBytes !== undefined && { peak_bytes: peakBytes }),
    scores,
  };
}

export function stageFigures({ name, steps, points, evaluations }: StageReport): StageFigures {
  const mean = lossCurves(points).mean;
  const best = lowest(evaluations);
  const [tokens, trained] = [sum(points, "tokens"), sum(points, "supervised_tokens")];
  const stepSeconds = sum(points, "seconds");
  const score = best?.score ?? evaluations.findLast((one) => one.score !== undefined)?.score;
  return {
    stage: name,
    steps: points.at(-1)?.step ?? 0,
    planned: steps,
    // the first of the running mean is a single step: the trend begins where the mean is full
    ...(mean.length > 0 && {
      first_loss: mean[Math.max(0, Math.round(mean.length / 20) - 1)]!.y,
      loss: mean.at(-1)!.y,
    }),
    ...(best?.held_out_loss !== undefined && { held_out_loss: best.held_out_loss, held_out_step: best.step }),
    ...(score !== undefined && { score: score.accuracy, score_name: shareName(score) }),
    tokens,
    supervised_tokens: trained,
    step_seconds: stepSeconds,
    seconds: stepSeconds + evaluations.reduce((all, { seconds }) => all + seconds, 0),
    ...(stepSeconds > 0 && { tokens_per_second: tokens / stepSeconds }),
  };
}

/** Single losses and their running mean; what is not finite is left out. */
export function lossCurves(points: readonly StepMetrics[]): { readonly single: Point[]; readonly mean: Point[] } {
  const single = finite(points.map(({ step, loss }) => ({ x: step, y: loss })));
  return { single, mean: runningMean(single) };
}

/** Held-out losses over steps. */
export function heldOutCurve(evaluations: readonly EvaluationMetrics[]): Point[] {
  return finite(evaluations.map(({ step, held_out_loss }) => ({ x: step, y: held_out_loss ?? Number.NaN })));
}

function lowest(evaluations: readonly EvaluationMetrics[]): EvaluationMetrics | undefined {
  return evaluations.reduce<EvaluationMetrics | undefined>(
    (best, one) => ((one.held_out_loss ?? Infinity) < (best?.held_out_loss ?? Infinity) ? one : best),
    undefined,
  );
}

function sum(points: readonly StepMetrics[], key: "tokens" | "supervised_tokens" | "seconds"): number {
  return points.reduce((all, point) => all + point[key], 0);
}
