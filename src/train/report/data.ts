// What a training report shows, as plain data.
import type { StageSums } from "../stage-data.ts";

/** A step's figures; learning rate is that of the first trained part. */
export interface CurvePoint {
  readonly step: number;
  readonly loss: number;
  readonly learning_rate: number;
}

export interface StageReport {
  readonly name: string;
  /** e.g. ["projector"] */
  readonly train: readonly string[];
  readonly sums: StageSums;
  readonly seconds: number;
  readonly points: readonly CurvePoint[];
}

/** A real sample as training sees it: its text in pieces, learned or not. */
export interface MaskPreview {
  readonly id: string;
  readonly stage: string;
  readonly pieces: readonly { readonly text: string; readonly learned: boolean }[];
}

/** A picture with what the model says about it. */
export interface PictureAnswer {
  /** a small copy as a `data:` URL */
  readonly picture: string;
  readonly question: string;
  readonly answer: string;
  /** what the data says, where it says it */
  readonly expected?: string;
}

/** A task's accuracy, 0–1: with the right picture, and blind with another one. */
export interface Score {
  readonly task: string;
  readonly n: number;
  readonly sighted: number;
  readonly blind?: number;
}

/** One line of a two-column table, e.g. ["CPU", "2 cores"]. */
export interface Fact {
  readonly label: string;
  readonly value: string;
}

export interface ReportData {
  /** the recipe's name */
  readonly name: string;
  readonly stages: readonly StageReport[];
  readonly masks: readonly MaskPreview[];
  readonly answers: readonly PictureAnswer[];
  readonly scores: readonly Score[];
  /** machine, versions, timings, memory */
  readonly facts: readonly Fact[];
  /** the resolved recipe as YAML */
  readonly recipe: string;
}
