// `llava quickstart`: the whole journey on drawn pictures and tiny bases, offline.
import type { Command } from "commander";
import { describeQuickstart } from "../quickstart/describe.ts";
import { quickstart, type QuickstartEvent, type QuickstartResult } from "../quickstart/quickstart.ts";
import { createEngine } from "../runtime/node.ts";
import { interruptible, Interrupted } from "./interrupt.ts";
import { addVerb, wholeNumber } from "./options.ts";
import { print, printJson, showSeconds } from "./output.ts";
import { log, startProgress, type Progress } from "./progress.ts";
import { chooseTrainView } from "./train-live.ts";

interface Options {
  readonly folder: string;
  readonly seed: number;
  readonly threads?: number;
  readonly json?: boolean;
}

export function addQuickstart(program: Command): void {
  addVerb(program, "quickstart", "draw pictures, teach, train, score and answer: the whole journey in minutes")
    .option("--folder <folder>", "where everything goes", "runs/quickstart")
    .option("--seed <n>", "decides pictures, words and weights", wholeNumber(0), 0)
    .option("--threads <n>", "threads to compute with (default: the physical cores)", wholeNumber(1, 1024))
    .option("--json", "print scores and answers as JSON")
    .action(async ({ folder, seed, threads, json }: Options) => {
      const engine = await createEngine(threads === undefined ? {} : { threads });
      const view = createView();
      try {
        const notice = "Stopping after this step; the same command goes on. A second Ctrl-C ends at once.";
        const work = (signal: AbortSignal): Promise<QuickstartResult | undefined> =>
          quickstart({ engine, folder, seed, signal, onEvent: view.show });
        const result = await interruptible(work, notice);
        if (result === undefined) throw new Interrupted("interrupted");
        if (json) printJson(summary(result));
        else print(`\n${describeQuickstart(result, commandName())}`);
      } finally {
        view.finish();
        await engine.close();
      }
    });
}

/** How the reader calls this program: through npm in a checkout, by its name where it is installed. */
function commandName(): string {
  return process.env["npm_lifecycle_event"] === undefined ? "npx llava" : "npm run -s llava --";
}

function summary({ files, sighted, blind, picture, answers, seconds }: QuickstartResult): unknown {
  return { model: files.model, recipe: files.recipe, sighted, blind, picture, answers, seconds };
}

/** Chapters as headings, and a progress line below each. */
function createView(): { show(event: QuickstartEvent): void; finish(): void } {
  const training = chooseTrainView();
  let line: { readonly key: string; readonly progress: Progress } | undefined;
  const finish = (): void => {
    line?.progress.finish();
    line = undefined;
    training.finish();
  };
  return {
    show(event) {
      if (event.type === "train") return training.show(event.event);
      if (event.type === "progress") {
        const { label, unit, total, done, note } = event;
        const key = `${label} ${total}`;
        if (line?.key !== key) {
          finish();
          line = { key, progress: startProgress({ label, unit, total }) };
        }
        return line.progress.update(done, note);
      }
      finish();
      if (event.type === "chapter") log(`\n${event.number}/${event.of}  ${event.title}`);
      else log(`${event.text} (${showSeconds(event.seconds)})`);
    },
    finish,
  };
}
