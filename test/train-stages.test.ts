// Stages of every kind: any order, one alone, and those that train the tower.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { answerTurns, userTurn } from "../src/generate/assistant.ts";
import { openAssistant, readChatPicture } from "../src/generate/node.ts";
import { openLlava, openVision } from "../src/models/node.ts";
import type { Engine } from "../src/runtime/engine.ts";
import { createDirectEngine } from "../src/runtime/node.ts";
import type { TrainEvent } from "../src/train/events.ts";
import { readMetrics } from "../src/train/metrics.ts";
import { parseRecipe } from "../src/train/recipe-read.ts";
import type { NewModel, Part, Recipe, StageRecipe } from "../src/train/recipe.ts";
import { train } from "../src/train/run.ts";
import { weightsHash, writeTinyProject } from "./tiny-bases.ts";

let folder: string;
let engine: Engine;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-stages-"));
  engine = await createDirectEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(folder, { recursive: true, force: true });
});

/** The tiny recipe with other stages, each given by its name and the parts that it trains. */
async function recipeOf(name: string, stages: Readonly<Record<string, readonly Part[]>>): Promise<Recipe> {
  const recipe = parseRecipe(await writeTinyProject(folder, name), `${name}.yaml`);
  const base = recipe.stages[1]!;
  const made = Object.entries(stages).map(([stage, parts]): StageRecipe => {
    const learning_rate = Object.fromEntries(parts.map((part) => [part, 1e-2]));
    return { ...base, name: stage, train: parts, learning_rate, epochs: 1 };
  });
  return { ...recipe, stages: made };
}

const modelHash = ({ output }: Recipe): Promise<string> => weightsHash(join(output, "model"));

const lossesOf = async ({ output }: Recipe): Promise<number[]> =>
  (await readMetrics(join(output, "metrics.jsonl"))).steps.map(({ loss }) => loss);

/** Which of the tower's weights differ between the base and the trained model. */
async function changedWeights({ output, model }: Recipe): Promise<string[]> {
  const base = await openVision((model as { vision: { path: string } }).vision.path);
  const trained = await openLlava(join(output, "model"));
  const changed: string[] = [];
  for (const name of base.weights.shapes.keys()) {
    const [before, after] = [await base.weights.load(name), await trained.vision.load(name)];
    if (before.some((x, i) => !Object.is(x, after[i]))) changed.push(name);
  }
  await Promise.all([base.close(), trained.close()]);
  return changed;
}

it("trains tower, projector and language model in a single stage, and saves the trained tower", async () => {
  const recipe = await recipeOf("single", { all: ["vision", "projector", "language"] });
  const cached = async (): Promise<string[]> =>
    (await readdir(join(folder, "cache"), { recursive: true })).filter((name) => name.endsWith(".safetensors"));
  const before = await cached();
  await train(recipe, { engine });
  const losses = await lossesOf(recipe);
  expect(losses).toHaveLength(4);
  expect(losses.at(-1)).toBeLessThan(losses[0]!);
  const changed = await changedWeights(recipe);
  expect(changed).toEqual(expect.arrayContaining(["patch.weight", "class", "position", "layers.0.fc2.bias"]));
  // the features are those of the last layer but one: what lies behind it learns nothing
  expect(changed.filter((name) => /^layers\.1|^post_norm/.test(name))).toEqual([]);
  // and nothing was cached that training changes
  expect(await cached()).toEqual(before);
});

class Crash extends Error {}

const stages = { see: ["vision", "projector"], speak: ["language"] } as const;
let whole: Recipe;
beforeAll(async () => {
  whole = await recipeOf("whole", stages);
  await train(whole, { engine });
});

it.each([
  ["see", 3],
  ["speak", 1],
])("resumes bit for bit after a crash in %s at step %i", async (stage, step) => {
  const recipe = await recipeOf(`crash-${stage}-${step}`, stages);
  const onEvent = (event: TrainEvent): void => {
    if (event.type === "step" && event.metrics.stage === stage && event.metrics.step === step) throw new Crash();
  };
  await expect(train(recipe, { engine, onEvent })).rejects.toThrow(Crash);
  await train(recipe, { engine, resume: true });
  expect(await modelHash(recipe)).toBe(await modelHash(whole));
  expect(await lossesOf(recipe)).toEqual(await lossesOf(whole));
});

it.each([
  ["the tower as it stands", ["vision", "projector"], undefined],
  ["tiles of pictures, computed once", ["projector", "language"], 4],
  ["tiles through the tower as it stands", ["vision"], 4],
] as const)("is evaluated with %s", async (name, parts, tiles) => {
  const whole = await recipeOf(`evaluated-${name.replaceAll(/\W/g, "-")}`, { see: parts });
  const vision = { ...(whole.model as NewModel).vision, ...(tiles === undefined ? {} : { tiles: { max: tiles } }) };
  const made: Recipe = { ...whole, model: { ...(whole.model as NewModel), vision } };
  const evaluate = { every: 2, held_out: 4, answers: 2, best: "loss", keep: "last" } as const;
  const recipe: Recipe = { ...made, stages: [{ ...made.stages[0]!, evaluate }] };
  await train(recipe, { engine });
  const { evaluations } = await readMetrics(join(recipe.output, "metrics.jsonl"));
  const losses = evaluations.map(({ held_out_loss }) => held_out_loss!);
  expect(new Set(losses).size).toBe(losses.length);
  const saved = await openLlava(join(recipe.output, "model"));
  expect(saved.config.tiles).toBe(tiles);
  await saved.close();
  const assistant = await openAssistant(join(recipe.output, "model"), { engine });
  for (const { picture, question, answer } of evaluations.at(-1)!.answers) {
    const shown = await readChatPicture(picture);
    const { text } = await answerTurns(assistant, [userTurn(question, 1)], [shown], { maxNewTokens: 64 });
    expect(answer).toBe(text);
  }
  await assistant.release();
});

it("encodes pictures anew for a stage behind one that trained the tower", async () => {
  const folders = async (): Promise<number> => (await readdir(join(folder, "cache"))).length;
  const recipe = await recipeOf("anew", { align: ["projector"], see: ["vision"], speak: ["language"] });
  const before = await folders();
  await train(recipe, { engine });
  expect((await folders()) - before).toBeGreaterThanOrEqual(1);
  const same = await recipeOf("anew-again", { align: ["projector"], see: ["vision"], speak: ["language"] });
  const now = await folders();
  await train(same, { engine });
  expect(await folders()).toBe(now);
  expect(await modelHash(same)).toBe(await modelHash(recipe));
});

it("runs stages in any order, and trains a part alone", async () => {
  const recipe = await recipeOf("backwards", { instruct: ["language"], align: ["projector"], more: ["language"] });
  await train(recipe, { engine });
  expect(await lossesOf(recipe)).toHaveLength(12);
  expect(await changedWeights(recipe)).toEqual([]);
});
