// `llava train`: runs a recipe, with the sums before the first step and a line that says how far it is.
import type { Command } from "commander";
import { createEngine } from "../runtime/node.ts";
import type { TrainEvent } from "../train/events.ts";
import { checkRecipePaths } from "../train/recipe-paths.ts";
import { readRecipe } from "../train/recipe-read.ts";
import type { Recipe } from "../train/recipe.ts";
import { train } from "../train/run.ts";
import { interruptible, Interrupted } from "./interrupt.ts";
import { addVerb, collect, wholeNumber } from "./options.ts";
import { print, printJson } from "./output.ts";
import { log } from "./progress.ts";
import { openQuestions } from "./train-questions.ts";
import { refuseFailures, runSweep, sweepTable } from "./train-sweep.ts";
import { createTrainView, type TrainView } from "./train-view.ts";
import { reportRun } from "./train-report.ts";

interface Options {
  readonly set?: readonly string[];
  readonly sweep?: readonly string[];
  readonly resume?: boolean;
  readonly threads?: number;
  readonly json?: boolean;
}

export function addTrain(program: Command): void {
  addVerb(program, "train <recipe>", "train a model as a recipe says")
    .option("--set <key=value>", "change a key of the recipe, e.g. stages.align.epochs=1 (repeatable)", collect)
    .option("--sweep <key=values>", "train a variant for each value, e.g. seed=0,1,2 (repeatable: a grid)", collect)
    .option("--resume", "go on where an interrupted run stopped")
    .option("--threads <n>", "threads to compute with (default: the physical cores)", wholeNumber(1, 1024))
    .option("--json", "print the result as JSON")
    .action(async (path: string, options: Options) => {
      if (options.sweep !== undefined) return sweep(path, options, options.sweep);
      const recipe = await readRecipe(path, options.set);
      await checkRecipePaths(recipe);
      const view = createTrainView();
      const seconds = await runRecipe(recipe, options, view);
      const result = {
        model: `${recipe.output}/model`,
        report: `${recipe.output}/report.html`,
        metrics: `${recipe.output}/metrics.jsonl`,
        seconds,
      };
      if (options.json) printJson(result);
      else
        print(`model   ${result.model}\nreport  ${result.report}\nNext:   llava chat ${result.model} --image YOUR.jpg`);
    });
}

async function sweep(path: string, options: Options, keys: readonly string[]): Promise<void> {
  const done = await runSweep(path, {
    sweep: keys,
    ...(options.set && { set: options.set }),
    resume: options.resume ?? false,
    run: (recipe) => runRecipe(recipe, { ...options, resume: true }, createTrainView()),
  });
  if (options.json) printJson(done);
  else print(`${sweepTable(done.results)}\n\nbest    ${done.results[0]!.model ?? "none"}\nall     ${done.path}`);
  refuseFailures(done);
}

async function runRecipe(recipe: Recipe, { resume, threads }: Options, view: TrainView): Promise<number> {
  const started = performance.now();
  const engine = await createEngine(threads === undefined ? {} : { threads });
  const onEvent = (event: TrainEvent): void => view.show(event);
  try {
    const notice = "Stopping after this step; a second Ctrl-C ends at once.";
    const run = await interruptible(
      (signal) => train(recipe, { engine, signal, onEvent, openQuestions, resume: resume ?? false }),
      notice,
    );
    if (!run.finished) {
      log(`Go on with: llava train … --resume`);
      throw new Interrupted("interrupted");
    }
    const seconds = (performance.now() - started) / 1000;
    await reportRun(recipe, run, engine, seconds);
    return seconds;
  } finally {
    view.finish();
    await engine.close();
  }
}
