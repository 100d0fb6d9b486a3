// metrics.jsonl: a line a step, and one for each evaluation; a resumed run first drops the lines behind its checkpoint.
import { existsSync } from "node:fs";
import { isRecord } from "../data/untrusted.ts";
import { appendText, readTextFile, writeFileAtomic } from "../formats/node.ts";

/** One step's figures, as the file holds them. */
export interface StepMetrics {
  readonly stage: string;
  /** counts from 1 within the stage */
  readonly step: number;
  readonly steps: number;
  /** mean over the step's trained tokens, before its update */
  readonly loss: number;
  /** of the first trained part */
  readonly learning_rate: number;
  /** of every trained part */
  readonly learning_rates: Readonly<Record<string, number>>;
  readonly grad_norm: number;
  /** of this step, padding left out */
  readonly tokens: number;
  readonly supervised_tokens: number;
  readonly seconds: number;
}

/** How many of a recipe's questions were answered rightly; a task's other figures stand beside. */
export interface QuestionScore {
  readonly task: string;
  readonly n: number;
  /** 0–1; what training goes by */
  readonly accuracy: number;
  /** which figure `accuracy` is, for a task that has none of that name */
  readonly figure?: string;
  readonly [figure: string]: unknown;
}

/** What a score is a share of: "right answers", or the figure's name. */
export function shareName({ figure }: Pick<QuestionScore, "figure">): string {
  return figure?.replaceAll("_", " ") ?? "right answers";
}

/** What the model says about a held-out picture, and what the data says. */
export interface SampleAnswer {
  /** the picture's file */
  readonly picture: string;
  readonly question: string;
  readonly answer: string;
  readonly expected: string;
}

/** What an evaluation during training found, as the file holds it; a line has this form when it has no `loss`. */
export interface EvaluationMetrics {
  readonly stage: string;
  /** the step whose update came just before */
  readonly step: number;
  readonly steps: number;
  /** mean over the trained tokens of all held-out samples; absent when nothing is held out */
  readonly held_out_loss?: number;
  /** absent when the recipe names no questions */
  readonly score?: QuestionScore;
  readonly answers: readonly SampleAnswer[];
  /** better than every earlier evaluation of its stage */
  readonly best: boolean;
  readonly seconds: number;
}

type MetricsLine = StepMetrics | EvaluationMetrics;

export interface Metrics {
  readonly steps: readonly StepMetrics[];
  readonly evaluations: readonly EvaluationMetrics[];
}

export async function appendMetrics(path: string, metrics: MetricsLine): Promise<void> {
  await appendText(path, `${JSON.stringify(metrics)}\n`);
}

/** All whole lines; a torn last one is left out. */
export async function readMetrics(path: string): Promise<Metrics> {
  const lines = await readLines(path);
  return { steps: lines.filter(isStep), evaluations: lines.filter(isEvaluation) };
}

/** A line of any file with a line a step. */
interface StepLine {
  readonly stage: string;
  readonly step: number;
  /** what it tells is an evaluation after that step */
  readonly evaluation: boolean;
}

/** Keeps the lines of the steps and evaluations that a resumed run does not make again. */
export async function rewindSteps(path: string, keep: (line: StepLine) => boolean): Promise<void> {
  if (!existsSync(path)) return;
  const kept = (await readLines(path)).filter(({ stage, step, ...rest }) =>
    keep({ stage, step, evaluation: "answers" in rest }),
  );
  await writeFileAtomic(path, kept.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

/** Whole lines up to the first damaged one; after a power cut what was not flushed may hold anything. */
async function readLines(path: string): Promise<MetricsLine[]> {
  const text = await readTextFile(path).catch(() => "");
  const lines = text.split("\n").slice(0, -1).map(parseLine);
  const damaged = lines.indexOf(undefined);
  return (damaged < 0 ? lines : lines.slice(0, damaged)) as MetricsLine[];
}

function parseLine(line: string): unknown {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isStep(line: MetricsLine): line is StepMetrics {
  return "loss" in line;
}

function isEvaluation(line: MetricsLine): line is EvaluationMetrics {
  return !isStep(line);
}
