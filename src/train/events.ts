// What a run tells while it goes on; the command line draws it, the report keeps it.
import type { CheckProgress } from "../data/check.ts";
import type { FeatureProgress } from "./features.ts";
import type { EvaluationMetrics, StepMetrics } from "./metrics.ts";
import type { SkippedStep } from "./not-finite.ts";
import type { MaskPreview } from "./report/data.ts";
import type { StageSums } from "./stage-data.ts";

/** How far an evaluation is with one of its parts. */
export interface EvaluationProgress {
  readonly part: "samples" | "questions" | "answers";
  readonly done: number;
  readonly total: number;
}

export type TrainEvent =
  | { readonly type: "checking"; readonly stage: string; readonly progress: CheckProgress }
  | {
      readonly type: "checked";
      readonly stage: string;
      readonly sums: StageSums;
      readonly masks: readonly MaskPreview[];
    }
  | { readonly type: "features"; readonly progress: FeatureProgress }
  | { readonly type: "stage"; readonly stage: string; readonly from: number; readonly steps: number }
  | { readonly type: "skipped"; readonly stage: string }
  /** a damaged checkpoint was passed over, in favour of an older one */
  | { readonly type: "fallback"; readonly checkpoint: string; readonly instead: string }
  /** what computes differs from what computed before, e.g. "threads 2 → 4" */
  | { readonly type: "machine"; readonly changes: readonly string[] }
  | { readonly type: "not_finite"; readonly skipped: SkippedStep }
  | { readonly type: "step"; readonly metrics: StepMetrics }
  | {
      readonly type: "evaluating";
      readonly stage: string;
      readonly step: number;
      readonly progress: EvaluationProgress;
    }
  | { readonly type: "evaluation"; readonly metrics: EvaluationMetrics }
  /** the stage ends early: so many evaluations in a row were no better than that of step `best` */
  | { readonly type: "stopped"; readonly stage: string; readonly step: number; readonly best: number }
  /** the weights of the stage's best evaluation are damaged: those of its last step stand in for them */
  | { readonly type: "lost"; readonly stage: string; readonly step: number }
  | { readonly type: "checkpoint"; readonly path: string }
  /** everything up to this step is saved */
  | { readonly type: "interrupted"; readonly stage: string; readonly step: number }
  | { readonly type: "saved"; readonly path: string };
