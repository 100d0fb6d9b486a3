// What an answers file was made of: model, prompt, decoding and questions, in a file beside it.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { refused } from "../data/untrusted.ts";
import { readJsonFile, writeFileAtomic } from "../formats/node.ts";
import type { Assistant } from "../generate/assistant.ts";
import type { Question, Task } from "./task.ts";

const record = z.object({
  task: z.string(),
  model: z.string(),
  model_sha256: z.string(),
  adapter: z.string().optional(),
  /** the form of the language model's weights, where it is not float32 */
  weights: z.string().optional(),
  template: z.string(),
  /** the first question as it was asked, before the template */
  prompt: z.string(),
  decoding: z.object({ temperature: z.number(), max_new_tokens: z.number(), stop_texts: z.array(z.string()) }),
  questions: z.array(z.string()),
  questions_sha256: z.string(),
  blind: z.boolean(),
  seed: z.number(),
});
export type RunRecord = z.infer<typeof record>;

export interface RunMade {
  readonly task: Task;
  readonly assistant: Assistant;
  readonly modelHash: string;
  readonly adapter?: string | undefined;
  /** the form of the language model's weights; float32 unless told */
  readonly weights?: string;
  readonly questionsPath: readonly string[];
  /** as they will be asked */
  readonly questions: readonly Question[];
  readonly blind: boolean;
  readonly seed: number;
}

/** What a run is made of. */
export function recordOf(made: RunMade): RunRecord {
  const { task, assistant, modelHash, adapter, weights = "float32", questionsPath, questions, blind, seed } = made;
  const asked = questions.map(({ where: _, ...question }) => question);
  const first = questions[0]!.turn.content.map((part) => (part.type === "image" ? "<image>" : part.text));
  return {
    task: task.name,
    model: assistant.where,
    model_sha256: modelHash,
    ...(adapter !== undefined && { adapter }),
    ...(weights !== "float32" && { weights }),
    template: assistant.template.name,
    prompt: first.join(""),
    decoding: { temperature: 0, max_new_tokens: task.maxNewTokens, stop_texts: [...(task.stopTexts ?? [])] },
    questions: [...questionsPath],
    questions_sha256: createHash("sha256").update(JSON.stringify(asked)).digest("hex"),
    blind,
    seed,
  };
}

/** Where the record of an answers file lies: "a.jsonl" → "a.run.json". */
export function recordPath(answersPath: string): string {
  return `${answersPath.replace(/\.jsonl?$/, "")}.run.json`;
}

export async function writeRecord(answersPath: string, made: RunRecord): Promise<void> {
  await writeFileAtomic(recordPath(answersPath), `${JSON.stringify(made, undefined, 2)}\n`);
}

/** The record of an answers file; undefined where it has none. Throws `EVAL_RECORD`. */
export async function readRecord(answersPath: string): Promise<RunRecord | undefined> {
  const path = recordPath(answersPath);
  if ((await stat(path).catch(() => undefined)) === undefined) return undefined;
  const parsed = record.safeParse(await readJsonFile(path));
  if (parsed.success) return parsed.data;
  throw refused("EVAL_RECORD", "what llava eval writes beside answers", parsed.error.issues[0]!.message, path);
}

/** SHA-256 over the weights, configs and tokenizer files of models and adapters, each a folder or a file. */
export async function modelHash(...paths: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const path of paths) {
    const folder = (await stat(path)).isDirectory();
    const inside = folder
      ? (await readdir(path)).filter((name) => /\.(safetensors|gguf|json|jinja|model)$/.test(name))
      : [""];
    for (const name of inside.toSorted()) {
      hash.update(`${name}\n`);
      for await (const chunk of createReadStream(name === "" ? path : join(path, name))) hash.update(chunk as Buffer);
    }
  }
  return hash.digest("hex");
}
