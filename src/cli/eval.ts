// `llava eval`: asks a model a task's questions and scores its answers.
import { Option, type Command } from "commander";
import { writeAnswers } from "../evaluate/answers.ts";
import { runTask, type RunOptions } from "../evaluate/run.ts";
import { tasks } from "../evaluate/registry.ts";
import type { Score } from "../evaluate/task.ts";
import { withAssistant } from "./assistant.ts";
import { interruptible } from "./interrupt.ts";
import { addVerb, wholeNumber } from "./options.ts";
import { print, printJson, table } from "./output.ts";
import { type Progress, startProgress } from "./progress.ts";

interface Options {
  readonly task: keyof typeof tasks;
  readonly questions: string;
  readonly images: string;
  readonly blind?: boolean;
  readonly seed: number;
  readonly limit?: number;
  readonly answers?: string;
  readonly template?: string;
  readonly adapter?: string;
  readonly threads?: number;
  readonly json?: boolean;
}

export function addEval(program: Command): void {
  const task = new Option("--task <name>", "how questions are read and scored").choices(Object.keys(tasks));
  addVerb(program, "eval <model>", "score a model's answers to questions about pictures")
    .addOption(task.makeOptionMandatory())
    .requiredOption("--questions <file>", "pope: JSON lines with question_id, image, text, label; vqa: LLaVA's JSON")
    .requiredOption("--images <folder>", "where the pictures lie")
    .option("--blind", "show another picture with each question: what the model knows without seeing")
    .option("--seed <n>", "decides which other picture", wholeNumber(0), 0)
    .option("--limit <n>", "ask the first n questions only", wholeNumber(1))
    .option("--answers <file>", "write every question, answer and label there, as JSON lines")
    .option("--template <name>", "how the conversation is written (default: as the model was trained)")
    .option("--adapter <folder>", "a LoRA adapter of this model, in PEFT's format")
    .option("--threads <n>", "threads to compute with (default: the physical cores)", wholeNumber(1, 1024))
    .option("--json", "print the score as JSON")
    .action(evaluate);
}

async function evaluate(model: string, options: Options): Promise<void> {
  const { questions: questionsPath, images: imagesDir, blind = false, seed, limit, answers, json } = options;
  const task: RunOptions<Score>["task"] = tasks[options.task];
  await withAssistant(model, options, async (assistant) => {
    let progress: Progress | undefined;
    const onProgress: RunOptions<Score>["onProgress"] = ({ done, total, correct }) => {
      progress ??= startProgress({ label: blind ? "asking blind" : "asking", unit: "questions", total });
      progress.update(done, `${percent(correct / done)} right`);
    };
    const run = { assistant, task, questionsPath, imagesDir, blind, seed, onProgress, ...(limit && { limit }) };
    const { score, answered } = await interruptible((signal) => runTask({ ...run, signal })).finally(() =>
      progress?.finish(),
    );
    if (answers !== undefined) await writeAnswers(answers, task, answered);
    const result = { task: task.name, ...score };
    if (json) printJson(result);
    else print(describe(result));
  });
}

/** Figures under each other; shares in percent, kinds as rows of their own. */
function describe(result: Readonly<Record<string, unknown>>): string {
  const rows = Object.entries(result).flatMap(([name, value]): string[][] => {
    if (typeof value === "object" && value !== null) {
      return Object.entries(value as Record<string, Score>).map(([kind, { n, accuracy }]) => [
        `  ${kind}`,
        percent(accuracy),
        `of ${n}`,
      ]);
    }
    return [[name.replace("_", " "), typeof value === "number" && name !== "n" ? percent(value) : String(value)]];
  });
  return table(rows);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
