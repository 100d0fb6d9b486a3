// Every optimiser through whole runs: it learns, and a run that was cut off ends as one that was not.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openFile } from "../src/formats/node.ts";
import { readSafetensors } from "../src/formats/safetensors.ts";
import type { Engine } from "../src/runtime/engine.ts";
import { createDirectEngine } from "../src/runtime/node.ts";
import { readMetrics } from "../src/train/metrics.ts";
import { optimiserNames } from "../src/train/optimisers/registry.ts";
import { parseRecipe } from "../src/train/recipe-read.ts";
import type { Recipe } from "../src/train/recipe.ts";
import { train } from "../src/train/run.ts";
import { weightsHash, writeTinyProject } from "./tiny-bases.ts";

let folder: string;
let engine: Engine;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-optimisers-"));
  engine = await createDirectEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(folder, { recursive: true, force: true });
});

const recipeFor = async (name: string, optimizer: string): Promise<Recipe> =>
  parseRecipe(await writeTinyProject(folder, name), `${name}.yaml`, [
    `stages.align.optimizer=${optimizer}`,
    `stages.instruct.optimizer=${optimizer}`,
  ]);

/** Runs until the given step of instruct is done, then ends without warning. */
async function crash(recipe: Recipe, step: number): Promise<void> {
  const run = train(recipe, {
    engine,
    onEvent: (event) => {
      if (event.type === "step" && event.metrics.stage === "instruct" && event.metrics.step === step) {
        throw new Error("crash");
      }
    },
  });
  await expect(run).rejects.toThrow("crash");
}

async function outcome({ output }: Recipe): Promise<{ model: string; losses: number[] }> {
  const { steps } = await readMetrics(join(output, "metrics.jsonl"));
  return { model: await weightsHash(join(output, "model")), losses: steps.map(({ loss }) => loss) };
}

/** What a checkpoint keeps beside the weights, with its dtype. */
async function keptArrays({ output }: Recipe): Promise<string[]> {
  const [name] = (await readdir(join(output, "checkpoints"))).filter((each) => each.startsWith("instruct-"));
  const source = await openFile(join(output, "checkpoints", name!, "state.safetensors"));
  try {
    const { tensors } = await readSafetensors(source);
    const arrays = [...tensors].flatMap(([key, { dtype }]) =>
      key.includes("#") ? [`${key.split("#")[1]} ${dtype}`] : [],
    );
    return [...new Set(arrays)].toSorted();
  } finally {
    await source.close();
  }
}

const arrays: Record<(typeof optimiserNames)[number], string[]> = {
  adamw: ["m F32", "v F32"],
  adamw8bit: ["m F32", "m U8", "scales F32", "v F32", "v U8"],
  muon: ["m F32", "momentum F32", "v F32"],
};

describe.each(optimiserNames)("%s", (optimizer) => {
  it("learns, and resumes bit for bit with everything it keeps", async () => {
    const recipe = await recipeFor(`${optimizer}-whole`, optimizer);
    await train(recipe, { engine });
    const whole = await outcome(recipe);
    const instruct = whole.losses.slice(6);
    expect(instruct.at(-1)!).toBeLessThan(instruct[0]! * 0.8);

    const cut = await recipeFor(`${optimizer}-cut`, optimizer);
    await crash(cut, 5);
    expect(await keptArrays(cut)).toEqual(arrays[optimizer]);
    await train(cut, { engine, resume: true });
    expect(await outcome(cut)).toEqual(whole);
  });

  it("does not go on with another optimiser's checkpoint", async () => {
    const recipe = await recipeFor(`${optimizer}-changed`, optimizer);
    await crash(recipe, 3);
    const other = optimiserNames.find((name) => name !== optimizer)!;
    const changed = await recipeFor(`${optimizer}-changed`, other);
    await expect(train(changed, { engine, resume: true })).rejects.toMatchObject({ code: "RESUME_CHANGED" });
  });
});
