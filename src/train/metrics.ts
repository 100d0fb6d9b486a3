// metrics.jsonl: a line a step, appended; a resumed run first drops the lines behind its checkpoint.
import { appendFile } from "node:fs/promises";
import { readTextFile, writeFileAtomic } from "../formats/node.ts";

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

export async function appendMetrics(path: string, metrics: StepMetrics): Promise<void> {
  await appendFile(path, `${JSON.stringify(metrics)}\n`);
}

/** All complete lines; a torn last line is left out. */
export async function readMetrics(path: string): Promise<StepMetrics[]> {
  const text = await readTextFile(path).catch(() => "");
  return text
    .split("\n")
    .flatMap((line, i, lines) => (line === "" || i === lines.length - 1 ? [] : [JSON.parse(line) as StepMetrics]));
}

/** Keeps the steps that a resumed run does not make again. */
export async function rewindMetrics(path: string, keep: (metrics: StepMetrics) => boolean): Promise<void> {
  const kept = (await readMetrics(path)).filter(keep);
  await writeFileAtomic(path, kept.map((metrics) => `${JSON.stringify(metrics)}\n`).join(""));
}
