// Questions from JSON lines, answers as JSON lines in the same order; a line that is wrong gets an error, and the rest goes on.
import { createReadStream } from "node:fs";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { InputError, type LlavaError, RunError } from "../../errors.ts";
import { openFile } from "../../formats/node.ts";
import { parseJson } from "../../formats/json.ts";
import type { Assistant } from "../../generate/assistant.ts";
import { answerTurns, userTurn } from "../../generate/assistant.ts";
import { type RankedAnswer, bestAnswers } from "../../generate/n-best.ts";
import { readChatPicture } from "../../generate/node.ts";
import { textTurn } from "../../text/conversation.ts";
import { Interrupted, interruptible } from "../interrupt.ts";
import { printJson } from "../output.ts";
import { startProgress } from "../progress.ts";
import { type BatchLine, splitLines } from "./lines.ts";
import { filePath } from "./paths.ts";
import { isOfQuestion } from "./question-error.ts";
import { answerOptions, type ChatSettings, constraintsOf } from "./settings.ts";

export interface BatchOptions {
  /** a file, or `-` for stdin */
  readonly from: string;
  /** where pictures lie; else beside the file, for stdin where the command was called */
  readonly images: string | undefined;
  readonly system: string | undefined;
  readonly settings: ChatSettings;
  /** answers to each question */
  readonly n: number | undefined;
}

const name = z.union([z.string(), z.number()]);
/** A question as we write it, or as LLaVA's question files do. */
const question = z.looseObject({
  id: name.optional(),
  question_id: name.optional(),
  image: z.union([z.string(), z.array(z.string()).max(64)]).optional(),
  prompt: z.string().optional(),
  text: z.string().optional(),
  system: z.string().optional(),
});
type Question = z.infer<typeof question>;

/** answers under way at once: more would wait for the same cores */
const parallel = 4;

/**
 * Answers every line, four at a time. Throws `BATCH_LINES` at the end where some could not be answered, and at once what
 * ends the engine, `FILE_…` for the file itself, and `Interrupted`.
 */
export async function answerBatch(assistant: Assistant, options: BatchOptions): Promise<void> {
  const { from } = options;
  if (from !== "-") await (await openFile(filePath(from))).close();
  const bytes = from === "-" ? process.stdin : createReadStream(filePath(from));
  const progress = startProgress({ label: "answering", unit: "lines" });
  const batch = new Batch(assistant, options);
  let stopped = false;
  await interruptible(async (signal) => {
    const waiting: Promise<object>[] = [];
    const write = async (): Promise<void> => {
      const result = await waiting.shift()!;
      if (!signal.aborted) printJson(result);
      progress.update(++batch.written);
    };
    for await (const line of splitLines(bytes)) {
      if (signal.aborted) break;
      if ("text" in line && line.text.trim() === "") continue;
      const result = batch.answer(line, signal);
      // it is awaited when its turn comes; until then a failure is nobody's surprise
      result.catch(() => undefined);
      waiting.push(result);
      if (waiting.length >= parallel) await write();
    }
    while (waiting.length > 0 && !signal.aborted) await write();
    await Promise.allSettled(waiting);
    stopped = signal.aborted;
  }).finally(() => progress.finish());
  if (stopped) throw new Interrupted("interrupted");
  batch.end();
}

class Batch {
  readonly #assistant: Assistant;
  readonly #options: BatchOptions;
  readonly #folder: string;
  readonly #failed: LlavaError[] = [];
  written = 0;

  constructor(assistant: Assistant, options: BatchOptions) {
    this.#assistant = assistant;
    this.#options = options;
    const beside = options.from === "-" ? "." : dirname(filePath(options.from));
    this.#folder = options.images ?? beside;
  }

  /** What is printed for a line. Throws what ends the engine. */
  async answer(line: BatchLine, signal: AbortSignal): Promise<object> {
    let told: object = { line: line.number };
    try {
      const asked = this.#read(line);
      const { id, question_id, image, prompt, text = prompt ?? "" } = asked;
      told = { ...told, ...defined({ id, question_id, image }), prompt: prompt ?? text };
      return { ...told, ...(await this.#ask(asked, prompt ?? text, signal)) };
    } catch (error) {
      if (!isOfQuestion(error)) throw error;
      this.#failed.push(error);
      return { ...told, error: { code: error.code, message: error.message } };
    }
  }

  /** Throws when lines had errors, as the whole was then not what it should have been. */
  end(): void {
    const [first] = this.#failed;
    if (first === undefined) return;
    const Kind = this.#failed.every((error) => error instanceof InputError) ? InputError : RunError;
    throw new Kind("BATCH_LINES", {
      expected: "an answer to every line",
      got: `${this.#failed.length} of ${this.written} with an error, the first ${first.code}`,
      where: this.#options.from === "-" ? "stdin" : this.#options.from,
      fix: 'look for "error" in the output',
    });
  }

  #read(line: BatchLine): Question {
    const { from } = this.#options;
    const where = `${from === "-" ? "stdin" : from}:${line.number}`;
    if ("problem" in line) throw new InputError("BATCH_LINE", { expected: line.problem, got: "something else", where });
    const parsed = question.safeParse(parseJson(line.text, where));
    const fix = 'write {"image": "a.jpg", "prompt": "What is this?"}';
    if (!parsed.success) {
      const { path, message } = parsed.error.issues[0]!;
      const expected = `a question (${path.join(".") || "the line"}: ${message})`;
      throw new InputError("BATCH_LINE", { expected, got: "something else", where, fix });
    }
    const { prompt, text } = parsed.data;
    if ((prompt ?? text) !== undefined) return parsed.data;
    throw new InputError("BATCH_LINE", { expected: "a prompt", got: "none", where, fix });
  }

  async #ask(asked: Question, prompt: string, signal: AbortSignal): Promise<object> {
    const { settings, n, system: shared } = this.#options;
    const files = [asked.image ?? []].flat().map((each) => resolve(this.#folder, filePath(each)));
    const pictures = await Promise.all(files.map(readChatPicture));
    const system = asked.system ?? shared;
    const turns = [...(system === undefined ? [] : [textTurn("system", system)]), userTurn(prompt, pictures.length)];
    const { constraint, ...drawn } = { ...answerOptions(settings, this.#assistant.tokenizer), signal };
    if (n === undefined) return answerTurns(this.#assistant, turns, pictures, { ...drawn, constraint });
    const constraints = constraintsOf(settings, this.#assistant.tokenizer);
    const many = { ...drawn, n, constraint: () => constraints?.start() };
    const answers: RankedAnswer[] = await bestAnswers(this.#assistant, turns, pictures, many);
    return { ...answers[0], choices: answers };
  }
}

function defined(fields: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
