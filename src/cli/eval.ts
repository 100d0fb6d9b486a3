// `llava eval`: asks a model a task's questions and scores its answers.
import { Option, type Command } from "commander";
import { tasks } from "../evaluate/registry.ts";
import { compareAnswers } from "../evaluate/result.ts";
import type { Task } from "../evaluate/task.ts";
import { InputError } from "../errors.ts";
import type { WeightForm } from "../generate/block-files-node.ts";
import { withAssistant } from "./assistant.ts";
import { addJudgeVerb } from "./eval-judge.ts";
import { addReplayVerbs } from "./eval-replay.ts";
import { askSide, type RunFlags, writeReport } from "./eval-run.ts";
import { describeComparison, describeResult } from "./eval-view.ts";
import { addVotesVerb } from "./eval-votes.ts";
import { addVerb, collect, weightsOption, wholeNumber } from "./options.ts";
import { print, printJson } from "./output.ts";
import { log } from "./progress.ts";

interface Options extends Omit<RunFlags, "questions" | "images"> {
  readonly task?: keyof typeof tasks;
  readonly questions?: string[];
  readonly images?: string;
  readonly blind?: boolean;
  readonly both?: boolean;
  readonly template?: string;
  readonly weights: WeightForm;
  readonly threads?: number;
  readonly json?: boolean;
}

export function addEval(program: Command): void {
  // needed options are checked below: commander would ask the verbs below for them too
  const task = new Option("--task <name>", "how questions are read and scored; needed").choices(Object.keys(tasks));
  const verb = addVerb(program, "eval <model>", "score a model's answers to questions about pictures")
    .addOption(task)
    .option("--questions <file>", "the task's questions; needed, may be given several times", collect)
    .option("--images <folder>", "where the pictures lie; needed")
    .option("--blind", "show another picture with each question: what the model knows without seeing")
    .option("--both", "ask sighted and blind, and say what seeing adds")
    .option("--seed <n>", "decides which other picture", wholeNumber(0), 0)
    .option("--limit <n>", "ask the first n questions only", wholeNumber(1))
    .option("--answers <file>", "write every question, answer and label there, as JSON lines")
    .option(
      "--out <folder>",
      "keep answers, scores and report.html there; the same command goes on where a run was cut off",
    )
    .option("--template <name>", "how the conversation is written (default: as the model was trained)")
    .option("--adapter <folder>", "a LoRA adapter of this model, in PEFT's format")
    .addOption(weightsOption())
    .option("--threads <n>", "threads to compute with (default: the physical cores)", wholeNumber(1, 1024))
    .option("--json", "print the score as JSON")
    .action(evaluate);
  addReplayVerbs(verb);
  addJudgeVerb(verb);
  addVotesVerb(verb);
}

async function evaluate(model: string, options: Options, command: Command): Promise<void> {
  const { blind = false, both = false, json } = options;
  const name = needed(options.task, "--task <name>", command);
  const questions = needed(options.questions, "--questions <file>", command);
  const images = needed(options.images, "--images <folder>", command);
  const task = tasks[name] as Task;
  refuseContradictions(options);
  await withAssistant(model, options, async (assistant) => {
    const flags = { ...options, questions, images };
    const ask = (isBlind: boolean): ReturnType<typeof askSide> => askSide({ model, assistant, task }, flags, isBlind);
    const first = await ask(both ? false : blind);
    const second = both ? await ask(true) : undefined;
    const report = await writeReport(
      task,
      flags,
      both || !blind ? first : undefined,
      second ?? (blind ? first : undefined),
    );
    if (report !== undefined) log(`report  ${report}`);
    if (second === undefined) {
      if (json) printJson(first.result);
      else print(describeResult(task, first.result));
      return;
    }
    // what seeing adds: sighted less blind, on the same questions
    const seeing = compareAnswers(task, second.answered, first.answered);
    if (json) {
      const { run: _, ...blindResult } = second.result;
      const { difference, intervals, better, worse, same } = seeing;
      printJson({ ...first.result, blind: blindResult, seeing: { difference, intervals, better, worse, same } });
    } else {
      print(`${describeResult(task, first.result)}\n\n${describeComparison(task, seeing, ["blind", "sighted"])}`);
    }
  });
}

function refuseContradictions({ answers, out, both, blind }: Options): void {
  const contradictions = [
    { is: both === true && blind === true, got: "--both and --blind", fix: "leave one of them out" },
    { is: answers !== undefined && out !== undefined, got: "--answers and --out", fix: "leave one of them out" },
    { is: answers !== undefined && both === true, got: "--answers for two runs", fix: "name a folder with --out" },
  ];
  const found = contradictions.find(({ is }) => is);
  if (found === undefined) return;
  const { got, fix } = found;
  throw new InputError("EVAL_OPTIONS", { expected: "options that agree", got, fix });
}

function needed<T>(value: T | undefined, flags: string, command: Command): T {
  if (value !== undefined) return value;
  const code = "commander.missingMandatoryOptionValue";
  return command.error(`required option '${flags}' not specified`, { code });
}
