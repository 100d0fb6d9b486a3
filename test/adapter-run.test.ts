// A run that trains an adapter: resumable bit for bit, saved as PEFT's files beside the weights it stands on, merged on demand.
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readSafetensors } from "../src/formats/safetensors.ts";
import { openFile } from "../src/formats/node.ts";
import { mergeModel } from "../src/models/merge-node.ts";
import { openLlava, openModel } from "../src/models/node.ts";
import type { Engine } from "../src/runtime/engine.ts";
import { createDirectEngine } from "../src/runtime/node.ts";
import type { TrainEvent } from "../src/train/events.ts";
import { parseRecipe } from "../src/train/recipe-read.ts";
import type { Recipe } from "../src/train/recipe.ts";
import { train } from "../src/train/run.ts";
import { weightsHash, writeTinyProject } from "./tiny-bases.ts";

let folder: string;
let engine: Engine;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-adapter-"));
  engine = await createDirectEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(folder, { recursive: true, force: true });
});

const lora = "lora: { rank: 2, targets: [q_proj, down_proj] }";

async function recipeFor(name: string, keys: string): Promise<Recipe> {
  // rows of 32 and 64, so that blocks of 4 bits fit them
  const text = await writeTinyProject(folder, name, { hidden_size: 32, intermediate_size: 64 });
  return parseRecipe(text.replace("checkpoint_every: 2 }", `checkpoint_every: 2, ${keys} }`), `${name}.yaml`);
}

const run = (recipe: Recipe, onEvent?: (event: TrainEvent) => void, resume = false) =>
  train(recipe, { engine, resume, ...(onEvent && { onEvent }) });

const hashes = (model: string): Promise<string[]> =>
  Promise.all(["model.safetensors", "adapter_model.safetensors"].map((name) => weightsHash(model, name)));

const weight = "model.layers.0.self_attn.q_proj.weight";

async function languageWeight(model: string, name: string): Promise<Float32Array> {
  const files = await openLlava(model);
  try {
    return await files.language.load(name);
  } finally {
    await files.close();
  }
}

describe.each([
  ["an adapter", lora],
  ["an adapter on a 4-bit base", `${lora}, quantize: 4bit`],
])("%s", (title, keys) => {
  const name = title.replaceAll(" ", "-");
  let model: string;
  beforeAll(async () => {
    const recipe = await recipeFor(name, keys);
    await run(recipe);
    model = join(recipe.output, "model");
  });

  it("resumes bit for bit after a crash", async () => {
    const recipe = await recipeFor(`${name}-crash`, keys);
    const crash = new Error("crash");
    const crashing = run(recipe, (event) => {
      if (event.type === "step" && event.metrics.stage === "instruct" && event.metrics.step === 5) throw crash;
    });
    await expect(crashing).rejects.toThrow(crash);
    await run(recipe, undefined, true);
    expect(await hashes(join(recipe.output, "model"))).toEqual(await hashes(model));
  });

  it("is saved by PEFT's names, and opens as part of the weights", async () => {
    const source = await openFile(join(model, "adapter_model.safetensors"));
    const names = [...(await readSafetensors(source)).tensors.keys()];
    await source.close();
    expect(names).toContain("base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight");
    expect(names.every((each) => /\.(q_proj|down_proj)\.lora_[AB]\.weight$/.test(each))).toBe(true);
    const bare = join(folder, `${name}-bare`);
    await cp(model, bare, { recursive: true });
    await rm(join(bare, "adapter_config.json"));
    expect(await languageWeight(bare, weight)).not.toEqual(await languageWeight(model, weight));
    const untouched = weight.replace("q_proj", "k_proj");
    expect(await languageWeight(bare, untouched)).toEqual(await languageWeight(model, untouched));
    // the adapter belongs to the values that it was trained on
    const values = new Set((await languageWeight(bare, weight)).subarray(0, 32));
    expect(values.size <= 16).toBe(keys.includes("4bit"));
  });

  it("is merged on demand", async () => {
    const merged = join(folder, `${name}-merged`);
    await mergeModel(model, { out: merged });
    expect(await languageWeight(merged, weight)).toEqual(await languageWeight(model, weight));
    await expect(readFile(join(merged, "adapter_config.json"))).rejects.toThrow("ENOENT");
    await expect(mergeModel(merged, { out: `${merged}-again` })).rejects.toMatchObject({ code: "ADAPTER_MISSING" });
  });
});

it("opens an adapter's folder by the model that it names, and refuses one of another model", async () => {
  const recipe = await recipeFor("named", lora);
  await run(recipe);
  const model = join(recipe.output, "model");
  const adapter = join(folder, "adapter");
  for (const file of ["adapter_config.json", "adapter_model.safetensors"])
    await cp(join(model, file), join(adapter, file));
  const files = await openModel(adapter);
  expect(files.kind === "llava" && (await files.language.load(weight))).toEqual(await languageWeight(model, weight));
  await files.close();
  await expect(openModel(join(folder, "language"), { adapter: join(folder, "vision") })).rejects.toMatchObject({
    code: "ADAPTER_MISSING",
  });
  const other = await openModel(join(folder, "language"), { adapter });
  await other.close();
});
