// Blocks on disk: made once, found again, made anew where the weights or the files have changed.
import { existsSync, mkdirSync, readdirSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openBlocks } from "./block-files-node.ts";
import { blockFolders } from "./block-model.fixture.ts";
import { tinyConfig, tinyWeights } from "./tiny-model.fixture.ts";

let folders: ReturnType<typeof blockFolders>;
beforeEach(() => void (folders = blockFolders()));
afterEach(() => folders.remove());

const config = tinyConfig({ hiddenSize: 64, headSize: 16 });

/** Weights that count how often they are read. */
function counted() {
  const weights = tinyWeights(config);
  let reads = 0;
  const load = (name: string): Promise<Float32Array> => {
    reads++;
    return weights.load(name);
  };
  return { weights: { ...weights, load }, reads: () => reads };
}

test("made once, then found; each form has files of its own", async () => {
  const { weights, reads } = counted();
  const told: [number, number][] = [];
  const { source, model } = await folders.open(config, weights, "int4");
  const first = reads();
  expect(first).toBeGreaterThan(0);
  const again = await openBlocks({ ...source, onProgress: (done, total) => told.push([done, total]) });
  expect([reads(), told, again.file.path]).toEqual([first, [], model.file.path]);
  const eight = await openBlocks({ ...source, form: "int8", onProgress: (done, total) => told.push([done, total]) });
  expect(eight.file.path).not.toBe(model.file.path);
  expect(told.at(-1)).toEqual([weights.shapes.size, weights.shapes.size]);
  expect(readdirSync(folders.cache)).toHaveLength(2);
});

test("embeds what the weights say, to float16", async () => {
  const { model } = await folders.open(config, tinyWeights(config), "int4");
  const table = await tinyWeights(config).load("model.embed_tokens.weight");
  const row = new Float32Array(config.hiddenSize);
  model.embed(17, row);
  for (const [i, value] of row.entries()) expect(value).toBeCloseTo(table[17 * config.hiddenSize + i]!, 3);
});

test("made anew after the model's files have changed, or where one of the cache's was cut off", async () => {
  const { weights, reads } = counted();
  const { source, model } = await folders.open(config, weights, "int4");
  const first = reads();
  utimesSync(source.folders[0]!, new Date(), new Date(Date.now() + 5000));
  const other = await openBlocks(source);
  expect([other.file.path === model.file.path, reads()]).toEqual([false, 2 * first]);
  truncateSync(`${other.file.path}_data`, 100);
  expect((await openBlocks(source)).file.path).toBe(other.file.path);
  expect(reads()).toBe(3 * first);
});

test.each(["model.safetensors", "pytorch_model.bin", "model.gguf", "config.json"])(
  "made anew after %s of a model's folder has changed",
  async (name) => {
    const { weights, reads } = counted();
    const { source } = await folders.open(config, weights, "int4");
    const folder = join(folders.cache, "model");
    mkdirSync(folder);
    writeFileSync(join(folder, name), "first");
    const first = await openBlocks({ ...source, folders: [folder] });
    const made = reads();
    expect((await openBlocks({ ...source, folders: [folder] })).file.path).toBe(first.file.path);
    expect(reads()).toBe(made);
    writeFileSync(join(folder, name), "second, longer");
    expect((await openBlocks({ ...source, folders: [folder] })).file.path).not.toBe(first.file.path);
    expect(reads()).toBeGreaterThan(made);
  },
);

test("heads that the kernel does not take are refused before anything is written", async () => {
  const odd = tinyConfig({ headSize: 8 });
  await expect(folders.open(odd, tinyWeights(odd), "int4")).rejects.toMatchObject({ code: "BLOCKS_HEAD_SIZE" });
  expect(existsSync(folders.cache)).toBe(false);
});

test("what a killed process left is removed when blocks are made", async () => {
  const { source } = await folders.open(config, tinyWeights(config), "int4");
  const left = join(folders.cache, `${"0".repeat(32)}.999999999.0123abcd.tmp`);
  mkdirSync(left);
  await openBlocks({ ...source, form: "int8" });
  expect(existsSync(left)).toBe(false);
});

test("what fails leaves nothing behind", async () => {
  const { source } = await folders.open(config, tinyWeights(config), "int4");
  const failing = { ...source.weights, load: () => Promise.reject(new Error("cut off")) };
  await expect(openBlocks({ ...source, form: "int8", weights: failing })).rejects.toThrow("cut off");
  expect(readdirSync(folders.cache)).toHaveLength(1);
  expect(existsSync(join(folders.cache, readdirSync(folders.cache)[0]!, "files.json"))).toBe(true);
});
