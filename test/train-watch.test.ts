// Evaluation during training: it changes nothing, keeps the best, stops in time, and survives crashes.
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openQuestions } from "../src/cli/train-questions.ts";
import { answerTurns, userTurn } from "../src/generate/assistant.ts";
import { openAssistant, readChatPicture } from "../src/generate/node.ts";
import type { Engine } from "../src/runtime/engine.ts";
import { createDirectEngine } from "../src/runtime/node.ts";
import type { TrainEvent } from "../src/train/events.ts";
import { readMetrics } from "../src/train/metrics.ts";
import { parseRecipe } from "../src/train/recipe-read.ts";
import type { Recipe } from "../src/train/recipe.ts";
import { train, type TrainedRun } from "../src/train/run.ts";
import { weightsHash, writeTinyProject } from "./tiny-bases.ts";

let folder: string;
let engine: Engine;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-watch-"));
  engine = await createDirectEngine({ threads: 1 });
  const question = (i: number) => ({
    question_id: i,
    image: `${i}.png`,
    text: "Is it red?",
    label: i % 3 ? "no" : "yes",
  });
  const lines = Array.from({ length: 6 }, (_, i) => `${JSON.stringify(question(i))}\n`);
  await writeFile(join(folder, "pope.jsonl"), lines.join(""));
});
afterAll(async () => {
  await engine.close();
  await rm(folder, { recursive: true, force: true });
});

/** A tiny project's recipe, its instruct stage evaluated. */
const recipeFor = async (name: string, evaluate?: string, ...sets: string[]): Promise<Recipe> => {
  const text = await writeTinyProject(folder, name);
  const set = evaluate === undefined ? [] : [`stages.instruct.evaluate=${evaluate}`];
  return parseRecipe(text, `${name}.yaml`, [...set, ...sets]);
};

interface RunOptions {
  readonly onEvent?: (event: TrainEvent) => void;
  readonly signal?: AbortSignal;
  readonly resume?: boolean;
}

async function run(recipe: Recipe, options: RunOptions = {}): Promise<{ run: TrainedRun; events: TrainEvent[] }> {
  const events: TrainEvent[] = [];
  const onEvent = (event: TrainEvent): void => {
    events.push(event);
    options.onEvent?.(event);
  };
  return { run: await train(recipe, { engine, openQuestions, ...options, onEvent }), events };
}

/** All that a run leaves, without the time it took. */
async function outcome({ output }: Recipe): Promise<object> {
  const { steps, evaluations } = await readMetrics(join(output, "metrics.jsonl"));
  const timeless = (lines: readonly object[]): object[] => lines.map((line) => ({ ...line, seconds: 0 }));
  return {
    model: await weightsHash(join(output, "model")),
    best: await weightsHash(join(output, "model-best")),
    steps: timeless(steps),
    evaluations: timeless(evaluations),
  };
}

const whatToLookAt = (): string => `{ every: 3, held_out: ${folder}/samples.json, questions: ${folder}/pope.jsonl }`;

class Crash extends Error {}

describe("an evaluated run", () => {
  let recipe: Recipe;
  let whole: object;
  let events: TrainEvent[];

  beforeAll(async () => {
    recipe = await recipeFor("whole", whatToLookAt());
    ({ events } = await run(recipe));
    whole = await outcome(recipe);
  });

  it("trains the very model that it trains without", async () => {
    const plain = await recipeFor("plain");
    await run(plain);
    expect(await weightsHash(join(plain.output, "model"))).toBe(await weightsHash(join(recipe.output, "model")));
    const [with_, without] = await Promise.all(
      [recipe, plain].map(({ output }) => readMetrics(join(output, "metrics.jsonl"))),
    );
    expect(with_!.steps.map(({ loss }) => loss)).toEqual(without!.steps.map(({ loss }) => loss));
    expect(without!.evaluations).toEqual([]);
    expect(await readdir(plain.output)).not.toContain("model-best");
  });

  it("looks every few steps and at the end", async () => {
    const { evaluations } = await readMetrics(join(recipe.output, "metrics.jsonl"));
    expect(evaluations.map(({ stage, step, steps }) => [stage, step, steps])).toEqual([
      ["instruct", 3, 8],
      ["instruct", 6, 8],
      ["instruct", 8, 8],
    ]);
    const losses = evaluations.map((found) => found.held_out_loss!);
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    evaluations.forEach(({ best }, i) => expect(best).toBe(losses.every((loss, k) => k >= i || losses[i]! < loss)));
    expect(evaluations[0]).toMatchObject({ score: { task: "pope", n: 6 }, answers: [{}, {}, {}] });
    const told = events.flatMap((event) => (event.type === "evaluation" ? [event.metrics] : []));
    expect(told).toEqual(evaluations);
    const parts = events.flatMap((event) => (event.type === "evaluating" ? [event.progress.part] : []));
    expect(new Set(parts)).toEqual(new Set(["samples", "questions", "answers"]));
  });

  it("answers during training as the finished model does", async () => {
    const { evaluations } = await readMetrics(join(recipe.output, "metrics.jsonl"));
    const assistant = await openAssistant(join(recipe.output, "model"), { engine });
    for (const { picture, question, answer, expected } of evaluations.at(-1)!.answers) {
      const shown = await readChatPicture(picture);
      const { text } = await answerTurns(assistant, [userTurn(question, 1)], [shown], { maxNewTokens: 64 });
      expect([question, text]).toEqual(["What colour?", answer]);
      expect(["red", "green", "blue"]).toContain(expected);
    }
    await assistant.release();
  });

  it.each([
    ["step", 5],
    ["evaluation", 6],
    ["evaluation", 8],
  ] as const)("resumes bit for bit after a crash behind the %s at step %i", async (type, step) => {
    const crashing = await recipeFor(`crash-${type}-${step}`, whatToLookAt());
    const onEvent = (event: TrainEvent): void => {
      if (event.type === type && event.metrics.stage === "instruct" && event.metrics.step === step) throw new Crash();
    };
    await expect(run(crashing, { onEvent })).rejects.toThrow(Crash);
    await run(crashing, { resume: true });
    expect(await outcome(crashing)).toEqual(whole);
  });

  it.each(["samples", "answers"])("stops within an evaluation at its %s, and makes up for it", async (part) => {
    const stopped = await recipeFor(`stopped-${part}`, whatToLookAt());
    const controller = new AbortController();
    const onEvent = (event: TrainEvent): void => {
      if (event.type === "evaluating" && event.step === 6 && event.progress.part === part) controller.abort();
    };
    const first = await run(stopped, { onEvent, signal: controller.signal });
    expect(first.events.at(-1)).toMatchObject({
      type: "interrupted",
      stage: "instruct",
      step: 6,
    });
    await run(stopped, { resume: true });
    expect(await outcome(stopped)).toEqual(whole);
  });

  it("keeps no more than one best of a stage", async () => {
    expect(await readdir(join(recipe.output, "checkpoints", "best"))).toHaveLength(1);
  });
});

describe("held-out pictures", () => {
  it("are in no stage's training, and the same whatever the seed", async () => {
    const held = async (name: string, seed: number): Promise<Set<string>> => {
      const recipe = await recipeFor(name, "{ every: 0, held_out: 0.25 }", `seed=${seed}`);
      const { run: done } = await run(recipe);
      const [align, instruct] = done.stages;
      const out = new Set(instruct!.heldOut!.samples.flatMap(({ images }) => images));
      expect(out.size).toBe(3);
      for (const { samples } of [align!, instruct!]) {
        expect(samples).toHaveLength(9);
        expect(samples.some(({ images }) => images.some((image) => out.has(image)))).toBe(false);
      }
      expect(instruct!.sums).toMatchObject({ samples: 9, pictures: 9, held_out: 3 });
      return out;
    };
    expect(await held("held-7", 7)).toEqual(await held("held-8", 8));
  });

  it("must leave some to train on", async () => {
    const recipe = await recipeFor("all-out", "{ held_out: 12 }");
    await expect(run(recipe)).rejects.toMatchObject({
      code: "SPLIT_SIZE",
      message: expect.stringContaining("stages.instruct.evaluate.held_out"),
    });
    await expect(stat(recipe.output)).rejects.toThrow();
  });
});

describe("a stage that gets no better", () => {
  // an untrained tokenizer's model never says no: every score is the same, and the first is the best
  const patient = (rest: string): string => `{ every: 1, questions: ${folder}/pope.jsonl, best: score${rest} }`;

  it("stops, and leaves its best weights", async () => {
    const recipe = await recipeFor("patient", patient(", stop_after: 2"));
    const { events } = await run(recipe);
    expect(events.find(({ type }) => type === "stopped")).toMatchObject({ stage: "instruct", step: 3, best: 1 });
    expect(events.filter((event) => event.type === "step" && event.metrics.stage === "instruct")).toHaveLength(3);
    expect(await readdir(recipe.output)).not.toContain("model-best");
    const whole = await recipeFor("impatient", patient(""));
    await run(whole);
    expect(await weightsHash(join(recipe.output, "model"))).toBe(await weightsHash(join(whole.output, "model-best")));
    expect(await weightsHash(join(recipe.output, "model"))).not.toBe(await weightsHash(join(whole.output, "model")));
  });

  it("has the same patience after a crash", async () => {
    const recipe = await recipeFor("patient-crash", patient(", stop_after: 2"), "stages.instruct.checkpoint_every=1");
    const onEvent = (event: TrainEvent): void => {
      if (event.type === "step" && event.metrics.stage === "instruct" && event.metrics.step === 3) throw new Crash();
    };
    await expect(run(recipe, { onEvent })).rejects.toThrow(Crash);
    const { events } = await run(recipe, { resume: true });
    expect(events.find(({ type }) => type === "stopped")).toMatchObject({ stage: "instruct", step: 3, best: 1 });
    expect(await weightsHash(join(recipe.output, "model"))).toBe(await weightsHash(join(folder, "patient", "model")));
  });
});

it.each(["last", "best"])(
  "ends well when the best weights are damaged and those of the %s were to be kept",
  async (keep) => {
    const evaluate = `{ every: 1, questions: ${folder}/pope.jsonl, keep: ${keep} }`;
    const recipe = await recipeFor(`damaged-${keep}`, evaluate, "stages.instruct.epochs=0.5");
    const file = join(recipe.output, "checkpoints", "best", "instruct-000001", "state.safetensors");
    const onEvent = (event: TrainEvent): void => {
      if (event.type === "evaluation" && event.metrics.step === 2) truncateSync(file, 100);
    };
    const { events } = await run(recipe, { onEvent });
    expect(events).toContainEqual({ type: "lost", stage: "instruct", step: 1 });
    expect(await readdir(recipe.output)).toContain("model");
    expect(await readdir(recipe.output)).not.toContain("model-best");
  },
);

it("refuses bad questions before anything is written", async () => {
  await writeFile(join(folder, "bad.jsonl"), '{"question_id": 1, "image": "none.png", "text": "?", "label": "no"}\n');
  const recipe = await recipeFor("bad", `{ questions: ${folder}/bad.jsonl }`);
  await expect(run(recipe)).rejects.toMatchObject({ code: "PICTURE_MISSING", exitCode: 2 });
  await expect(stat(recipe.output)).rejects.toThrow();
});
