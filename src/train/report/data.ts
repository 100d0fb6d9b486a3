// What a training report shows, as plain data.
import type { EvaluationMetrics, SampleAnswer, StepMetrics } from "../metrics.ts";
import type { StageSums } from "../stage-data.ts";

/** How a run stands. */
export type RunState = "running" | "interrupted" | "failed" | "finished";

export interface StageReport {
  readonly name: string;
  /** e.g. ["projector"] */
  readonly train: readonly string[];
  /** planned; 0 before the stage was begun */
  readonly steps: number;
  /** as far as the run's folder says */
  readonly sums?: Partial<StageSums>;
  readonly points: readonly StepMetrics[];
  readonly evaluations: readonly EvaluationMetrics[];
}

/** A real sample as training sees it, or several that share pictures: text in pieces, learned or not. */
export interface MaskPreview {
  readonly id: string;
  readonly stage: string;
  readonly pieces: readonly MaskPiece[];
}

export interface MaskPiece {
  readonly text: string;
  readonly learned: boolean;
  readonly tokens: number;
  /** counts the samples that share, from 1; absent in what they share */
  readonly branch?: number | undefined;
}

/** A picture with what the model says about it. */
export interface PictureAnswer extends Omit<SampleAnswer, "picture"> {
  /** a small copy as a `data:` URL; absent when the picture is no longer there */
  readonly picture?: string;
  /** earlier answers to the same question, oldest first, e.g. { at: "step 200", text: "a cat" } */
  readonly before: readonly { readonly at: string; readonly text: string }[];
}

/** A task's accuracy, 0–1: with the right picture, and blind with another one. */
export interface Score {
  readonly task: string;
  readonly n: number;
  readonly sighted?: number;
  readonly blind?: number;
  /** 95 %, of each side that was scored with one */
  readonly intervals?: Readonly<Partial<Record<"sighted" | "blind", readonly [low: number, high: number]>>>;
}

/** One line of a two-column table, e.g. ["CPU", "2 cores"]. */
export interface Fact {
  readonly label: string;
  readonly value: string;
}

export interface ReportData {
  /** the recipe's name */
  readonly name: string;
  /** absent where the run's folder does not say */
  readonly state?: RunState;
  /** when the newest of it was known */
  readonly updated: Date;
  readonly stages: readonly StageReport[];
  readonly masks: readonly MaskPreview[];
  readonly answers: readonly PictureAnswer[];
  readonly scores: readonly Score[];
  /** machine and versions */
  readonly facts: readonly Fact[];
  /** of the whole process */
  readonly peakBytes?: number;
  /** the resolved recipe as YAML */
  readonly recipe: string;
}

/** A run with the name that tells it from the others. */
export interface NamedRun {
  readonly label: string;
  readonly data: ReportData;
}
