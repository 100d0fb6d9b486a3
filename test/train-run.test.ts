import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openLlava } from "../src/models/node.ts";
import type { Engine } from "../src/runtime/engine.ts";
import { createDirectEngine } from "../src/runtime/node.ts";
import type { TrainEvent } from "../src/train/events.ts";
import { readMetrics, type StepMetrics } from "../src/train/metrics.ts";
import { parseRecipe } from "../src/train/recipe-read.ts";
import type { Recipe } from "../src/train/recipe.ts";
import { train, type TrainOptions } from "../src/train/run.ts";
import { weightsHash, writeTinyProject } from "./tiny-bases.ts";

let folder: string;
let engine: Engine;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-run-"));
  engine = await createDirectEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(folder, { recursive: true, force: true });
});

const recipeFor = async (name: string): Promise<Recipe> =>
  parseRecipe(await writeTinyProject(folder, name), `${name}.yaml`);

async function run(recipe: Recipe, options: Partial<TrainOptions> = {}): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  await train(recipe, {
    engine,
    ...options,
    onEvent: (event) => {
      events.push(event);
      options.onEvent?.(event);
    },
  });
  return events;
}

interface Outcome {
  readonly model: string;
  readonly metrics: readonly Omit<StepMetrics, "seconds">[];
}

/** The model's hash, and the metrics without the time they took. */
async function outcome({ output }: Recipe): Promise<Outcome> {
  const { steps } = await readMetrics(join(output, "metrics.jsonl"));
  return {
    model: await weightsHash(join(output, "model")),
    metrics: steps.map((line) => ({ ...line, seconds: 0 })),
  };
}

const stepsOf = (events: readonly TrainEvent[]): string[] =>
  events.flatMap((event) => (event.type === "step" ? [`${event.metrics.stage} ${event.metrics.step}`] : []));

class Crash extends Error {}

/** Ends the run without warning when a step of a stage is done. */
const crashAt =
  (stage: string, step: number): ((event: TrainEvent) => void) =>
  (event) => {
    if (event.type === "step" && event.metrics.stage === stage && event.metrics.step === step) throw new Crash("crash");
  };

describe("a training run", () => {
  let whole: Outcome;

  beforeAll(async () => {
    const recipe = await recipeFor("whole");
    const events = await run(recipe);
    expect(stepsOf(events)).toHaveLength(6 + 8);
    whole = await outcome(recipe);
  });

  it("learns: the loss of the last steps is below that of the first", () => {
    const losses = whole.metrics.filter(({ stage }) => stage === "instruct").map(({ loss }) => loss);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! * 0.8);
  });

  it("gives identical metrics and weights with the same seed", async () => {
    const recipe = await recipeFor("again");
    await run(recipe);
    expect(await outcome(recipe)).toEqual(whole);
  });

  it("gives other weights with another seed", async () => {
    const recipe = { ...(await recipeFor("other-seed")), seed: 8 };
    await run(recipe);
    expect((await outcome(recipe)).model).not.toBe(whole.model);
  });

  it("encodes a picture once, however many runs use it", async () => {
    const files = await readdir(join(folder, "cache"), { recursive: true });
    expect(files.filter((name) => name.endsWith(".safetensors"))).toHaveLength(12);
  });

  it.each([
    ["align", 1],
    ["align", 6],
    ["instruct", 1],
    ["instruct", 2],
    ["instruct", 5],
    ["instruct", 8],
  ])("resumes bit for bit after a crash in %s at step %i", async (stage, step) => {
    const recipe = await recipeFor(`crash-${stage}-${step}`);
    await expect(run(recipe, { onEvent: crashAt(stage, step) })).rejects.toThrow(Crash);
    await run(recipe, { resume: true });
    expect(await outcome(recipe)).toEqual(whole);
  });

  it("saves where it is asked to stop, and goes on from there", async () => {
    const recipe = await recipeFor("stopped");
    const controller = new AbortController();
    const onEvent = (event: TrainEvent): void => {
      if (event.type === "step" && event.metrics.stage === "instruct" && event.metrics.step === 3) controller.abort();
    };
    const first = await run(recipe, { signal: controller.signal, onEvent });
    expect(first.at(-1)?.type).toBe("interrupted");
    const second = await run(recipe, { resume: true });
    expect(stepsOf(second)[0]).toBe("instruct 4");
    expect(await outcome(recipe)).toEqual(whole);
  });

  it("passes over a damaged checkpoint, and says so", async () => {
    const recipe = await recipeFor("damaged");
    await expect(run(recipe, { onEvent: crashAt("instruct", 5) })).rejects.toThrow(Crash);
    const path = join(recipe.output, "checkpoints", "instruct-000004", "state.safetensors");
    const bytes = await readFile(path);
    bytes[bytes.length - 3]! ^= 1;
    await writeFile(path, bytes);
    const events = await run(recipe, { resume: true });
    const [checkpoint, instead] = [4, 2].map((step) => join(recipe.output, "checkpoints", `instruct-00000${step}`));
    expect(events).toContainEqual({ type: "fallback", checkpoint, instead });
    expect(await outcome(recipe)).toEqual(whole);
  });

  it("refuses an output folder that holds a run", async () => {
    await expect(run(await recipeFor("whole"))).rejects.toMatchObject({ code: "OUTPUT_EXISTS", exitCode: 2 });
  });

  it("writes a model that opens again", async () => {
    const files = await openLlava(join(folder, "whole", "model"));
    expect(files.config).toMatchObject({ template: "vicuna_v1", projector: { pixelShuffle: 2 } });
    await files.close();
  });
});
