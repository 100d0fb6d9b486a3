// The whole journey on drawn pictures and tiny bases: draw, teach, train, score, answer.
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { CaptionedPicture, Sample } from "../data/sample.ts";
import { writeSamples } from "../data/samples.ts";
import { openSource } from "../data/sources/open.ts";
import type { Source } from "../data/sources/source.ts";
import { runTask } from "../evaluate/run.ts";
import { pope, type PopeScore } from "../evaluate/tasks/pope.ts";
import { writeFileAtomic } from "../formats/node.ts";
import { answerTurns, type Assistant, userTurn } from "../generate/assistant.ts";
import { openAssistant, readChatPicture } from "../generate/node.ts";
import type { Engine } from "../runtime/engine.ts";
import { teachCaptions } from "../teacher/facts/captions.ts";
import { presenceLines } from "../teacher/facts/questions.ts";
import { teachFacts } from "../teacher/facts/teach.ts";
import type { TrainEvent } from "../train/events.ts";
import type { Recipe } from "../train/recipe.ts";
import type { RunState } from "../train/report/data.ts";
import type { LiveReport } from "../train/report/live.ts";
import { writeScores } from "../train/report/scores.ts";
import { createRunLog } from "../train/run-log.ts";
import { train, type TrainedRun } from "../train/run.ts";
import { writeSceneFolder } from "./folder.ts";
import {
  defaultSize,
  filesIn,
  parseQuickstartRecipe,
  type QuickstartFiles,
  type QuickstartSize,
  quickstartRecipe,
} from "./plan.ts";
import type { Scene } from "./scenes.ts";
import { chooseShowcase, type ShownQuestion, showcaseQuestions } from "./showcase.ts";

/** What the quickstart tells while it goes on. */
export type QuickstartEvent =
  | { readonly type: "chapter"; readonly number: number; readonly of: number; readonly title: string }
  | {
      readonly type: "progress";
      readonly label: string;
      readonly unit: string;
      readonly done: number;
      readonly total: number;
      readonly note?: string;
    }
  | { readonly type: "train"; readonly event: TrainEvent }
  | { readonly type: "done"; readonly text: string; readonly seconds: number };

export interface QuickstartOptions {
  readonly engine: Engine;
  /** everything is written below it; what is there already is used again */
  readonly folder: string;
  readonly seed?: number;
  readonly size?: QuickstartSize;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: QuickstartEvent) => void;
}

export interface QuickstartAnswer extends ShownQuestion {
  readonly answer: string;
}

export interface QuickstartResult {
  readonly files: QuickstartFiles;
  readonly recipe: Recipe;
  readonly run: TrainedRun;
  readonly sighted: PopeScore;
  readonly blind: PopeScore;
  /** the picture of the answers */
  readonly picture: string;
  readonly answers: readonly QuickstartAnswer[];
  /** of the whole journey */
  readonly seconds: number;
}

interface Journey extends Required<Omit<QuickstartOptions, "signal">> {
  readonly signal: AbortSignal;
  readonly files: QuickstartFiles;
}

const chapters = 5;

/**
 * Draws scenes, teaches, trains, scores and answers, all below one folder; returns what came of it, or undefined when
 * it was interrupted while training (the same call goes on there). Throws what its stages throw.
 */
export async function quickstart(options: QuickstartOptions): Promise<QuickstartResult | undefined> {
  const started = performance.now();
  const journey: Journey = {
    seed: 0,
    size: defaultSize,
    signal: new AbortController().signal,
    onEvent: () => {},
    ...options,
    files: filesIn(options.folder),
  };
  await mkdir(journey.folder, { recursive: true });
  const scenes = await chapter(journey, 1, "Drawing pictures, with captions and boxes", () => drawScenes(journey));
  await chapter(journey, 2, "Teaching: conversations from captions and boxes, by code", () => teach(journey));
  const { runLog, ...trained } = await chapter(journey, 3, "Training: align, then instruct", () => trainModel(journey));
  if (!trained.run.finished) return undefined;
  const assistant = await openAssistant(journey.files.model, { engine: journey.engine });
  const scores = await chapter(journey, 4, "Scoring on pictures it has never seen", () => score(journey, assistant));
  const shown = await chapter(journey, 5, "Asking about one of them", () => ask(journey, assistant, scenes));
  const asked = shown.answers.map(({ question, answer, truth }) => ({ question, answer, expected: truth }));
  await runLog.finish(
    "finished",
    asked.map((one) => ({ picture: shown.picture, ...one })),
  );
  const seconds = (performance.now() - started) / 1000;
  return { files: journey.files, ...trained, ...scores, ...shown, seconds };
}

/** Announces, works, and tells what came of it and how long it took. */
async function chapter<T extends { readonly told: string }>(
  { onEvent, signal }: Journey,
  number: number,
  title: string,
  work: () => Promise<T>,
): Promise<Omit<T, "told">> {
  signal.throwIfAborted();
  onEvent({ type: "chapter", number, of: chapters, title });
  const started = performance.now();
  const { told, ...rest } = await work();
  onEvent({ type: "done", text: told, seconds: (performance.now() - started) / 1000 });
  return rest;
}

async function drawScenes(journey: Journey): Promise<{ told: string; heldOut: readonly Scene[] }> {
  const { files, size, seed } = journey;
  const draw = (folder: string, split: string, count: number): Promise<Scene[]> =>
    writeSceneFolder({
      folder,
      split,
      count,
      seed,
      signal: journey.signal,
      onProgress: report(journey, "drawing", "pictures", count),
    });
  await draw(files.scenes, "scene", size.pictures);
  const heldOut = await draw(files.heldOut, "held-out", size.heldOut);
  return {
    told: `${size.pictures} pictures in ${files.scenes}, ${size.heldOut} held out in ${files.heldOut}`,
    heldOut,
  };
}

async function teach(journey: Journey): Promise<{ told: string }> {
  const { files, seed } = journey;
  const [training, heldOut] = [await listScenes(files.scenes), await listScenes(files.heldOut)];
  let turns = 0;
  const counted = async function* (samples: AsyncIterable<Sample>): AsyncGenerator<Sample> {
    for await (const sample of samples) {
      turns += sample.conversations.length / 2;
      yield sample;
    }
  };
  await writeSamples(files.captions, teachCaptions(training, { captions: "all", seed }));
  await writeSamples(files.instruct, counted(teachFacts(training, { seed })));
  const lines = await presenceLines(heldOut, { strategy: "random", seed, statistics: training });
  await writeFileAtomic(files.questions, lines.join(""));
  return {
    told: `${turns} questions with answers in ${files.instruct}; ${lines.length} to test with in ${files.questions}`,
  };
}

async function listScenes(folder: string): Promise<CaptionedPicture[]> {
  const source: Source = await openSource(folder);
  const pictures: CaptionedPicture[] = [];
  for await (const picture of source.pictures()) pictures.push(picture);
  return pictures;
}

async function trainModel(
  journey: Journey,
): Promise<{ told: string; recipe: Recipe; run: TrainedRun; runLog: LiveReport }> {
  const { engine, files, size, seed, signal, onEvent } = journey;
  const text = quickstartRecipe(files, size, seed);
  await writeFileAtomic(files.recipe, text);
  const recipe = parseQuickstartRecipe(text, files);
  const runLog = createRunLog({ folder: recipe.output, threads: engine.threads, warn: () => {} });
  let state: RunState = "failed";
  try {
    const run = await train(recipe, {
      engine,
      signal,
      resume: true,
      onEvent: (event) => {
        runLog.show(event);
        onEvent({ type: "train", event });
      },
    });
    state = run.finished ? "finished" : "interrupted";
    return { told: run.finished ? `model in ${files.model}` : "stopped; everything is saved", recipe, run, runLog };
  } finally {
    await runLog.finish(state);
  }
}

async function score(
  journey: Journey,
  assistant: Assistant,
): Promise<{ told: string; sighted: PopeScore; blind: PopeScore }> {
  const { files, seed, signal } = journey;
  const test = async (blind: boolean): Promise<PopeScore> => {
    const label = blind ? "asking blind" : "asking";
    const { score: scored } = await runTask({
      assistant,
      task: pope,
      questionsPath: files.questions,
      imagesDir: join(files.heldOut, "photos"),
      blind,
      seed,
      signal,
      onProgress: ({ done, total }) => report(journey, label, "questions", total)(done),
    });
    return scored;
  };
  const [sighted, blind] = [await test(false), await test(true)];
  await writeScores(dirname(files.model), "presence", { sighted, blind });
  const told = `${sighted.n} yes/no questions: ${percent(sighted)} right; ${percent(blind)} when shown another picture`;
  return { told, sighted, blind };
}

async function ask(
  { files }: Journey,
  assistant: Assistant,
  { heldOut }: { readonly heldOut: readonly Scene[] },
): Promise<{ told: string; picture: string; answers: QuickstartAnswer[] }> {
  const scene = chooseShowcase(heldOut);
  const path = join(files.heldOut, "photos", `${scene.id}.jpg`);
  const picture = await readChatPicture(path);
  const answers: QuickstartAnswer[] = [];
  for (const shown of showcaseQuestions(scene)) {
    const { text } = await answerTurns(assistant, [userTurn(shown.question, 1)], [picture], { maxNewTokens: 64 });
    answers.push({ ...shown, answer: text.trim() });
  }
  return { told: `asked about ${path}`, picture: path, answers };
}

function report({ onEvent }: Journey, label: string, unit: string, total: number): (done: number) => void {
  return (done) => onEvent({ type: "progress", label, unit, done, total });
}

function percent({ accuracy }: PopeScore): string {
  return `${(100 * accuracy).toFixed(1)} %`;
}
