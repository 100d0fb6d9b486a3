// One side of `llava eval`, sighted or blind: questions asked with a progress line, answers and scores kept.
import { join } from "node:path";
import { unpacker } from "../data/sources/shards.ts";
import { writeAnswers } from "../evaluate/answers.ts";
import { modelHash, recordOf, writeRecord } from "../evaluate/record.ts";
import { writeEvalReport } from "../evaluate/report.ts";
import { resultOf, type Result } from "../evaluate/result.ts";
import { openTask, type AskOptions } from "../evaluate/run.ts";
import { askInto, keepResult, withRunFolder } from "../evaluate/run-folder.ts";
import type { Answered, Task } from "../evaluate/task.ts";
import type { Assistant } from "../generate/assistant.ts";
import { thumbnailShelf } from "../image/thumbnails-node.ts";
import { interruptible } from "./interrupt.ts";
import { type Progress, startProgress } from "./progress.ts";

export interface RunFlags {
  readonly questions: string[];
  readonly images: string;
  readonly seed: number;
  readonly limit?: number;
  readonly answers?: string;
  readonly out?: string;
  readonly adapter?: string;
  readonly weights: string;
}

export interface Side {
  readonly result: Result;
  readonly answered: readonly Answered[];
}

interface Asked {
  readonly model: string;
  readonly assistant: Assistant;
  readonly task: Task;
}

/** Asks all questions and scores the answers; with `out`, only those that the folder lacks. */
export async function askSide({ model, assistant, task }: Asked, flags: RunFlags, blind: boolean): Promise<Side> {
  const { questions: questionsPath, images: imagesDir, seed, limit, answers, out, adapter, weights } = flags;
  await unpackQuestions(task, questionsPath, imagesDir);
  const opened = await openTask({ task, questionsPath, imagesDir, blind, seed, ...(limit && { limit }) });
  const hash = await modelHash(model, ...(adapter === undefined ? [] : [adapter]));
  const { questions } = opened;
  const run = recordOf({ task, assistant, modelHash: hash, adapter, weights, questionsPath, questions, blind, seed });
  const answered = await asking(task, blind, async (more) => {
    if (out === undefined) return (await opened.run({ assistant, ...more })).answered;
    return withRunFolder(out, () => askInto(out, task, opened, run, { assistant, ...more }));
  });
  const result = resultOf(task, answered, { run });
  if (out !== undefined) await keepResult(out, result, blind);
  if (answers !== undefined) {
    await writeAnswers(answers, task, answered);
    await writeRecord(answers, run);
  }
  return { result, answered };
}

/** Pictures that question files hold become files, but those that are there. */
export async function unpackQuestions({ pictures }: Task, paths: readonly string[], folder: string): Promise<void> {
  if (pictures === undefined) return;
  for (const path of paths) {
    const progress = startProgress({ label: "unpack", unit: "pictures" });
    const unpack = unpacker(folder, () => pictures(path));
    await interruptible((signal) => unpack({ signal, onProgress: (done) => progress.update(done) }));
    progress.finish();
  }
}

/** Writes the report into `out`, where one is named; returns where. */
export async function writeReport(
  task: Task,
  { out, images }: RunFlags,
  sighted: Side | undefined,
  blind: Side | undefined,
): Promise<string | undefined> {
  if (out === undefined) return undefined;
  const path = join(out, "report.html");
  const sides = { ...(sighted && { sighted }), ...(blind && { blind }) };
  await writeEvalReport(path, { task, imagesDir: images, ...sides }, thumbnailShelf());
  return path;
}

/** Runs with a progress line, until Ctrl-C. */
async function asking<T>(
  { judged }: Task,
  blind: boolean,
  run: (options: Omit<AskOptions, "assistant">) => Promise<T>,
): Promise<T> {
  let progress: Progress | undefined;
  const onProgress: AskOptions["onProgress"] = ({ done, total, right }) => {
    progress ??= startProgress({ label: blind ? "asking blind" : "asking", unit: "questions", total });
    progress.update(done, judged ? undefined : `${((100 * right) / done).toFixed(1)} % right`);
  };
  return interruptible((signal) => run({ onProgress, signal })).finally(() => progress?.finish());
}
