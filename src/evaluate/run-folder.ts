// A run's folder: answers as they come, in file order at the end; a run that was killed goes on where it was.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isRecord } from "../data/untrusted.ts";
import { InputError } from "../errors.ts";
import { appendText, flushFile, makeFolder, writeFileAtomic } from "../formats/node.ts";
import { lockFile } from "../formats/lock-node.ts";
import { answerLine, writeAnswers } from "./answers.ts";
import { readRecord, type RunRecord, recordPath, writeRecord } from "./record.ts";
import type { Result } from "./result.ts";
import type { AskOptions, OpenedTask } from "./run.ts";
import type { Answered, Task } from "./task.ts";

/** Sighted and blind answers lie beside each other. */
export function answersPath(folder: string, blind: boolean): string {
  return join(folder, blind ? "answers-blind.jsonl" : "answers.jsonl");
}

/** One run with a folder at a time. Throws `EVAL_BUSY`. */
export async function withRunFolder<T>(folder: string, work: () => Promise<T>): Promise<T> {
  await makeFolder(folder);
  const unlock = await lockFile(join(folder, "run.lock"), {
    code: "EVAL_BUSY",
    expected: "no other run in this folder",
  });
  try {
    return await work();
  } finally {
    await unlock();
  }
}

/**
 * Asks what the folder lacks; every answer is in the file before the next question of its lane. The file is whole, and
 * the same however often the run was killed, once all are answered. Throws `EVAL_OTHER_RUN` where the folder holds answers
 * of another model, question file or setting.
 */
export async function askInto(
  folder: string,
  task: Task,
  opened: OpenedTask<string>,
  run: RunRecord,
  options: Omit<AskOptions, "known" | "onAnswer">,
): Promise<readonly Answered[]> {
  const path = answersPath(folder, run.blind);
  await refuseOther(path, run);
  await writeRecord(path, run);
  const known = await knownAnswers(path);
  // a line that a kill cut off is not known: what is appended must not stand behind it
  const again = opened.questions.flatMap((question) => {
    const answer = known.get(question.id);
    return answer === undefined ? [] : [{ question, answer }];
  });
  await writeAnswers(path, task, again);
  const onAnswer = (answered: Answered): Promise<void> => appendText(path, answerLine(task, answered));
  const { answered } = await opened.run({ ...options, known, onAnswer }).finally(() => flushFile(path));
  await writeAnswers(path, task, answered);
  return answered;
}

/** Keeps a result beside its answers. */
export async function keepResult(folder: string, result: Result, blind: boolean): Promise<void> {
  await writeFileAtomic(
    join(folder, blind ? "score-blind.json" : "score.json"),
    `${JSON.stringify(result, undefined, 2)}\n`,
  );
}

async function refuseOther(path: string, run: RunRecord): Promise<void> {
  const before = await readRecord(path);
  if (before === undefined) return;
  const keys = ["task", "model_sha256", "template", "decoding", "questions_sha256", "blind", "seed"] as const;
  const differing = keys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(run[key]));
  if (differing.length === 0) return;
  const got = `answers of another one: ${differing.join(", ")}`;
  const fix = "choose another folder with --out, or remove this one";
  throw new InputError("EVAL_OTHER_RUN", { expected: "answers of the same run", got, where: recordPath(path), fix });
}

/** By question; lines that are no answers, and the last one where it was cut off, are left out. */
async function knownAnswers(path: string): Promise<Map<string, string>> {
  const text = await readFile(path, "utf8").catch(() => "");
  const known = new Map<string, string>();
  for (const line of text.split("\n")) {
    const value = parsed(line);
    if (!isRecord(value)) continue;
    const { question_id: id, answer } = value;
    if (typeof id === "string" && typeof answer === "string") known.set(id, answer);
  }
  return known;
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
