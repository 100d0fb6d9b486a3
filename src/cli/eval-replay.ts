// `llava eval score` and `llava eval compare`: answers that were given before, scored anew and set against each other.
import { Option, type Command } from "commander";
import { readRecord } from "../evaluate/record.ts";
import { tasks } from "../evaluate/registry.ts";
import { replayAnswers } from "../evaluate/replay.ts";
import { compareAnswers, resultOf } from "../evaluate/result.ts";
import type { Task } from "../evaluate/task.ts";
import { InputError } from "../errors.ts";
import { describeComparison, describeResult } from "./eval-view.ts";
import { addVerb, collect } from "./options.ts";
import { print, printJson } from "./output.ts";

interface Options {
  readonly task?: string;
  readonly questions?: string[];
  readonly json?: boolean;
}

/** Adds the verbs below `llava eval`. */
export function addReplayVerbs(evaluate: Command): void {
  addReplayOptions(
    addVerb(evaluate, "score <answers>", "score an answers file, of llava eval or in LLaVA's layouts"),
  ).action(score);
  addReplayOptions(
    addVerb(evaluate, "compare <first> <second>", "paired differences of two answers files, with intervals"),
  ).action(compare);
}

function addReplayOptions(verb: Command): Command {
  const task = new Option("--task <name>", "how answers are scored (default: what the file's record says)");
  return verb
    .addOption(task.choices(Object.keys(tasks)))
    .option("--questions <file>", "the questions, where lines do not hold them; may be given several times", collect)
    .option("--json", "print the figures as JSON");
}

async function score(answers: string, { task: name, questions, json }: Options): Promise<void> {
  const run = await readRecord(answers);
  const task = taskNamed(name ?? run?.task, answers);
  const { answered, unanswered } = await replayAnswers(task, answers, questions);
  const result = resultOf(task, answered, { unanswered, run });
  if (json) printJson(result);
  else print(describeResult(task, result));
}

async function compare(first: string, second: string, { task: name, questions, json }: Options): Promise<void> {
  const task = taskNamed(name ?? (await readRecord(first))?.task, first);
  const [before, after] = [await replayAnswers(task, first, questions), await replayAnswers(task, second, questions)];
  const comparison = compareAnswers(task, before.answered, after.answered);
  if (json) printJson(comparison);
  else print(describeComparison(task, comparison));
}

function taskNamed(name: string | undefined, answers: string): Task {
  if (name !== undefined && Object.hasOwn(tasks, name)) return tasks[name as keyof typeof tasks] as Task;
  const fix = `add --task, one of ${Object.keys(tasks).join(", ")}`;
  throw new InputError("TASK_MISSING", { expected: "a task", got: name ?? "none", where: answers, fix });
}
