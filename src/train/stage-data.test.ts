import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeTinyProject } from "../../test/tiny-bases.ts";
import type { Sample } from "../data/sample.ts";
import { writeSamples } from "../data/samples.ts";
import { type Assembly, assemble } from "./assemble.ts";
import { parseRecipe } from "./recipe-read.ts";
import type { DataSource, Recipe, StageRecipe } from "./recipe.ts";
import { loadStages, type StageData } from "./stage-data.ts";
import { stageWork } from "./stage-work.ts";

let folder: string;
let recipe: Recipe;
let assembly: Assembly;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-mixture-"));
  recipe = parseRecipe(await writeTinyProject(folder, "mixture"), "mixture.yaml");
  assembly = await assemble(recipe);
});
afterAll(async () => {
  await assembly.close();
  await rm(folder, { recursive: true, force: true });
});

const pictures = (): DataSource => recipe.stages[1]!.data[0]!;

async function source(
  name: string,
  samples: readonly Omit<Sample, "extra" | "where">[],
  extra = {},
): Promise<DataSource> {
  const path = join(folder, `${name}.json`);
  await writeSamples(
    path,
    samples.map((sample) => ({ ...sample, extra, where: "" })),
  );
  return { ...pictures(), path };
}

async function load(data: readonly DataSource[], limit?: number, more: Partial<StageRecipe> = {}): Promise<StageData> {
  const stage = { ...recipe.stages[1]!, data, ...(limit === undefined ? {} : { limit }), ...more };
  const [loaded] = await loadStages({ assembly, stages: [stage] });
  return loaded!;
}

const said = (
  id: string,
  question: string,
  answer: string,
  images: readonly string[] = [],
): Omit<Sample, "extra" | "where"> => ({
  id,
  images,
  conversations: [
    { from: "human", value: "<image>\n".repeat(images.length) + question },
    { from: "gpt", value: answer },
  ],
});

const counts = ({ samples }: StageData): Map<string, number> => {
  const found = new Map<string, number>();
  for (const { id } of samples) found.set(id, (found.get(id) ?? 0) + 1);
  return found;
};

describe("a mixture", () => {
  it("repeats whole weights, and draws the fraction by the seed", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 12 }), async (tenths, limit) => {
        const weight = tenths / 10;
        fc.pre(Math.round(weight * limit) >= 1);
        const data = await load([{ ...pictures(), weight, limit }]);
        const found = [...counts(data).values()];
        expect(data.sums.samples).toBe(Math.floor(weight) * limit + Math.round((weight % 1) * limit));
        for (const times of found) expect([Math.floor(weight), Math.ceil(weight)]).toContain(times);
        expect((await load([{ ...pictures(), weight, limit }])).hash).toBe(data.hash);
      }),
      { numRuns: 12 },
    );
  });

  it("joins text alone, one picture and several, and knows only the pictures that are used", async () => {
    const text = await source("text", [said("t1", "Hi", "Hello"), said("t2", "Bye", "See you")]);
    const several = await source("several", [said("s1", "Which is red?", "The first", ["0.png", "1.png", "2.png"])]);
    const data = await load([text, { ...pictures(), limit: 4 }, { ...several, weight: 2 }]);
    expect(data.sums).toMatchObject({ samples: 2 + 4 + 2, mirrored: 0 });
    const drawn = new Set(data.samples.flatMap(({ images }) => images));
    expect(new Set(data.pictures.map(({ root, image }) => `${root}\n${image}`))).toEqual(drawn);
    const s1 = data.samples.find(({ id }) => id === "s1")!;
    expect(s1.imageRuns.map(({ image }) => s1.images[image]!.split("\n")[1])).toEqual(["0.png", "1.png", "2.png"]);
    expect(data.samples.find(({ id }) => id === "t1")!.imageRuns).toEqual([]);
  });

  it("caps the whole by the stage's limit", async () => {
    const data = await load([{ ...pictures(), weight: 3 }, pictures()], 7);
    expect(data.sums.samples).toBe(7);
  });
});

describe("pictures in tiles", () => {
  it("are samples of several views, whose places follow each other", async () => {
    const tiled = { ...assembly, config: { ...assembly.config, tiles: 4 } };
    const several = await source("views", [said("s", "Which is red?", "The first", ["0.png", "1.png"])]);
    const stage = { ...recipe.stages[1]!, data: [{ ...several, mirror: true }] };
    const [data] = await loadStages({ assembly: tiled, stages: [stage] });
    const [sample, twin] = data!.samples;
    // 24×20 pixels through an input of 16×16: the whole, and two by two tiles; one token each
    expect(sample!.images.map((name) => name.split("\n").slice(1).join(" "))).toEqual(
      ["0.png", "1.png"].flatMap((image) => [0, 1, 2, 3, 4].map((view) => `${image} view ${view} of 4`)),
    );
    expect(twin!.images[6]).toMatch(/1\.png\nmirrored\nview 1 of 4$/);
    for (const [i, { start, length, image }] of sample!.imageRuns.entries()) {
      expect([length, image]).toEqual([1, i]);
      expect(sample!.ids[start]).toBe(assembly.config.imageTokenId);
    }
    const first = sample!.imageRuns.slice(0, 5).map(({ start }) => start);
    expect(first).toEqual([0, 1, 2, 3, 4].map((n) => first[0]! + n));
    expect(data!.sums).toMatchObject({ pictures: 4, samples: 2, mirrored: 1 });
  });
});

describe("shared pictures", () => {
  it("bring samples about them into one step, and are counted", async () => {
    const asked = Array.from({ length: 12 }, (_, i) => said(`q${i}`, `Number ${i}?`, `It is ${i}`, [`${i % 3}.png`]));
    const data = [await source("asked", asked)];
    const own = await load(data, undefined, { batch_size: 4 });
    const shared = await load(data, undefined, { batch_size: 4, share_pictures: 4 });
    expect(own.sums).not.toHaveProperty("sharing");
    // everything before the text of three samples of four, for each of three pictures
    const prefix = own.samples[0]!.imageRuns[0]!.start + own.samples[0]!.imageRuns[0]!.length;
    expect(shared.sums).toEqual({
      ...own.sums,
      rows: shared.sums.rows,
      sharing: 12,
      tokens_saved: 3 * 3 * prefix,
    });
    for (const epoch of [0, 1]) {
      const steps = [1, 2, 3].map((step) => [...shared.plan.samplesOf(3 * epoch + step)]);
      expect(steps.map((step) => new Set(step.map((i) => i % 3)).size)).toEqual([1, 1, 1]);
      expect(steps.flat().toSorted((a, b) => a - b)).toEqual([...asked.keys()]);
    }
    expect(shared.hash).toBe(own.hash);
    const computed = (stage: typeof own): number[] => stageWork(stage).map(({ length, rows }) => length * rows.length);
    const without = computed(own);
    for (const [step, tokens] of computed(shared).entries()) expect(tokens).toBeLessThan(without[step]!);
  });
});

describe("mirrored samples", () => {
  const left = said("l", "Is the dog left or right of the cat?", "Left", ["0.png"]);

  it("come beside their originals, with pictures and words of their own", async () => {
    const own = await source("own", [left], { teacher: "facts", kinds: ["left-right"] });
    const data = await load([{ ...own, mirror: true }]);
    expect(data.sums).toMatchObject({ samples: 2, mirrored: 1, pictures: 2 });
    const [original, flipped] = data.samples;
    expect(flipped!.images[0]).toBe(`${original!.images[0]}\nmirrored`);
    expect(data.pictures.map(({ mirrored }) => mirrored)).toEqual([undefined, true]);
    const text = (ids: Int32Array): string => assembly.tokenizer.decode(ids, { skipControl: true });
    expect(text(original!.ids)).toMatch(/left or right of the cat\?.*Left/s);
    expect(text(flipped!.ids)).toMatch(/right or left of the cat\?.*Right/s);
  });

  it("are left out where others' words name a side", async () => {
    const foreign = await source("foreign", [left, said("c", "What is it?", "A cat", ["1.png"])]);
    const data = await load([{ ...foreign, mirror: true }]);
    expect([...counts(data).keys()]).toEqual(["l", "c", "c (mirrored)"]);
    expect(data.sums.mirrored).toBe(1);
  });
});
