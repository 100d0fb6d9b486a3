// `llava train`: runs a recipe, with the sums before the first step and a view of how far it is.
import type { Command } from "commander";
import { createEngine } from "../runtime/node.ts";
import type { TrainEvent } from "../train/events.ts";
import type { SampleAnswer } from "../train/metrics.ts";
import { checkRecipePaths } from "../train/recipe-paths.ts";
import { readRecipe } from "../train/recipe-read.ts";
import type { Recipe } from "../train/recipe.ts";
import type { RunState } from "../train/report/data.ts";
import { createRunLog } from "../train/run-log.ts";
import { train } from "../train/run.ts";
import { describeFailure } from "./failure.ts";
import { interruptible, Interrupted } from "./interrupt.ts";
import { addVerb, collect, wholeNumber } from "./options.ts";
import { print, printJson } from "./output.ts";
import { log } from "./progress.ts";
import { printEvents } from "./train-json.ts";
import { chooseTrainView } from "./train-live.ts";
import { openQuestions } from "./train-questions.ts";
import { showPlan } from "./train-plan.ts";
import { askForReport } from "./train-report.ts";
import { compareVariants, refuseFailures, runSweep, sweepTable } from "./train-sweep.ts";
import type { TrainView } from "./train-view.ts";

interface Options {
  readonly set?: readonly string[];
  readonly sweep?: readonly string[];
  readonly plan?: boolean;
  readonly resume?: boolean;
  readonly threads?: number;
  readonly plain?: boolean;
  readonly json?: boolean;
}

export function addTrain(program: Command): void {
  addVerb(program, "train <recipe>", "train a model as a recipe says")
    .option("--set <key=value>", "change a key of the recipe, e.g. stages.align.epochs=1 (repeatable)", collect)
    .option("--sweep <key=values>", "train a variant for each value, e.g. seed=0,1,2 (repeatable: a grid)", collect)
    .option("--plan", "say what each stage will take in time and memory, and stop")
    .option("--resume", "go on where an interrupted run stopped")
    .option("--threads <n>", "threads to compute with (default: the physical cores)", wholeNumber(1, 1024))
    .option("--plain", "lines of progress instead of the live view, also on a terminal")
    .option("--json", "print every event as a line of JSON, the result last")
    .action(async (path: string, options: Options) => {
      if (options.sweep !== undefined) return sweep(path, options, options.sweep);
      const recipe = await readRecipe(path, options.set);
      await checkRecipePaths(recipe);
      if (options.plan === true) return showPlan(recipe, options);
      // events on the same terminal would tear the live view apart
      const view = chooseTrainView({
        plain: options.plain === true || (options.json === true && process.stdout.isTTY),
      });
      const seconds = await runRecipe(recipe, options, view);
      const result = {
        model: `${recipe.output}/model`,
        report: `${recipe.output}/report.html`,
        metrics: `${recipe.output}/metrics.jsonl`,
        seconds,
      };
      if (options.json) printJson({ type: "result", ...result });
      else
        print(`model   ${result.model}\nreport  ${result.report}\nNext:   llava chat ${result.model} --image YOUR.jpg`);
    });
}

async function sweep(path: string, options: Options, keys: readonly string[]): Promise<void> {
  const { plain = false } = options;
  const done = await runSweep(path, {
    sweep: keys,
    ...(options.set && { set: options.set }),
    resume: options.resume ?? false,
    // events do not say which variant they are of
    run: (recipe) => runRecipe(recipe, { ...options, resume: true, json: false }, chooseTrainView({ plain })),
  });
  const report = await compareVariants(done);
  if (options.json)
    printJson({ type: "result", results: done.results, sorted_by: done.sortedBy, sweep: done.path, report });
  else {
    const best = done.results[0]!.model ?? "none";
    print(`${sweepTable(done.results)}\n\nbest    ${best}\nall     ${done.path}${report ? `\nreport  ${report}` : ""}`);
  }
  refuseFailures(done);
}

async function runRecipe(recipe: Recipe, { resume, threads, json }: Options, view: TrainView): Promise<number> {
  const started = performance.now();
  const engine = await createEngine(threads === undefined ? {} : { threads });
  const runLog = createRunLog({
    folder: recipe.output,
    threads: engine.threads,
    warn: (what, error) => log(`warning: ${what} cannot be written: ${describeFailure(error)}`),
  });
  const listeners = [view.show, runLog.show, ...(json ? [printEvents()] : [])];
  const onEvent = (event: TrainEvent): void => listeners.forEach((listen) => listen(event));
  let state: RunState = "failed";
  let answers: SampleAnswer[] | undefined;
  try {
    const notice = "Stopping after this step; a second Ctrl-C ends at once.";
    const run = await interruptible(
      (signal) => train(recipe, { engine, signal, onEvent, openQuestions, resume: resume ?? false }),
      notice,
    );
    if (!run.finished) {
      state = "interrupted";
      log(`Go on with: llava train … --resume`);
      throw new Interrupted("interrupted");
    }
    state = "finished";
    answers = await askForReport(recipe, engine);
    return (performance.now() - started) / 1000;
  } finally {
    view.finish();
    await runLog.finish(state, answers);
    await engine.close();
  }
}
