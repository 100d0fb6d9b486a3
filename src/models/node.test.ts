import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { lab } from "../../test/lab.ts";
import { openFile, writeFileAtomic } from "../formats/node.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { encodeSafetensors, type SafetensorsEntry } from "../formats/safetensors-write.ts";
import { sizeOf } from "../graph/tensor.ts";
import { openLanguage, openLlava, openModel, openVision } from "./node.ts";
import type { PartWeights } from "./weights.ts";

const golden = (name: string): string => fileURLToPath(new URL(`../../test/golden/${name}`, import.meta.url));
const root = mkdtempSync(join(tmpdir(), "models-"));
let folder: string;
beforeEach(() => (folder = mkdtempSync(join(root, "model-"))));
afterAll(() => rmSync(root, { recursive: true }));

type Json = Record<string, unknown>;
const configOf = (name: string): Json => JSON.parse(readFileSync(join(golden(name), "config.json"), "utf8")) as Json;

async function entriesOf(name: string): Promise<SafetensorsEntry[]> {
  const source = await openFile(join(golden(name), "model.safetensors"));
  const file = await readSafetensors(source);
  const entries = await Promise.all(
    [...file.tensors].map(async ([key, { shape }]) => ({
      name: key,
      dtype: "F32" as const,
      shape,
      data: await file.loadFloat32(key),
    })),
  );
  await source.close();
  return entries;
}

const write = (config: Json): void => writeFileSync(join(folder, "config.json"), JSON.stringify(config));
const writeWeights = (entries: readonly SafetensorsEntry[], name = "model.safetensors"): Promise<void> =>
  writeFileAtomic(join(folder, name), encodeSafetensors(entries));

const parameterCount = ({ shapes }: PartWeights): number =>
  [...shapes.values()].reduce((sum, of) => sum + sizeOf(of), 0);

async function values(weights: PartWeights): Promise<Map<string, Float32Array>> {
  const all = new Map<string, Float32Array>();
  for (const name of weights.shapes.keys()) all.set(name, await weights.load(name));
  return all;
}

const failure = (opening: Promise<{ close(): Promise<void> }>): Promise<unknown> =>
  opening.then(
    async (files) => {
      await files.close();
      expect.fail("nothing was refused");
    },
    (error: unknown) => error,
  );
const refusal = (code: string, ...parts: string[]): object => ({
  code,
  exitCode: 2,
  message: expect.stringMatching(
    new RegExp(parts.map((part) => part.replaceAll(/[[\].]/g, "\\$&")).join(".*")),
  ) as string,
});

describe("llava checkpoints", () => {
  /** From the names of transformers 5, which are layout C, to the others. */
  const layouts: [string, (name: string) => string][] = [
    ["A, with vision_model", (name) => name.replace("vision_tower.", "vision_tower.vision_model.")],
    [
      "B, below model, the output matrix outside",
      (name) =>
        name === "language_model.lm_head.weight"
          ? "lm_head.weight"
          : `model.${name.replace("language_model.model.", "language_model.")}`,
    ],
    [
      "B with vision_model",
      (name) => {
        const inside = name
          .replace("vision_tower.", "vision_tower.vision_model.")
          .replace("language_model.model.", "language_model.");
        return inside.startsWith("language_model.lm_head") ? "lm_head.weight" : `model.${inside}`;
      },
    ],
  ];
  it.each(layouts)("are the same in layout %s", async (_, rename) => {
    write(configOf("llava-tiny"));
    const entries = (await entriesOf("llava-tiny")).map((entry) => ({ ...entry, name: rename(entry.name) }));
    await writeWeights(entries);
    const [one, other] = [await openLlava(golden("llava-tiny")), await openLlava(folder)];
    for (const part of ["vision", "projector", "language"] as const) {
      expect(await values(other[part])).toEqual(await values(one[part]));
    }
    await one.close();
    await other.close();
  });

  it("are refused for tensors that are missing, unexpected, misshapen or of no part, each named", async () => {
    write(configOf("llava-tiny"));
    const entries = await entriesOf("llava-tiny");
    const bias = "multi_modal_projector.linear_2.bias";
    await writeWeights(entries.filter(({ name }) => name !== bias));
    expect(await failure(openLlava(folder))).toMatchObject(refusal("WEIGHTS_MISMATCH", `missing ${bias}`));

    const extra = { ...entries[0]!, name: "language_model.model.layers.2.input_layernorm.weight" };
    await writeWeights([...entries, extra]);
    expect(await failure(openLlava(folder))).toMatchObject(refusal("WEIGHTS_MISMATCH", `unexpected ${extra.name}`));

    const reshaped = entries.map((entry) => (entry.name === bias ? { ...entry, shape: [2, 8] } : entry));
    await writeWeights(reshaped);
    expect(await failure(openLlava(folder))).toMatchObject(
      refusal("WEIGHTS_MISMATCH", `misshapen ${bias} is [2, 8], not [16]`),
    );

    await writeWeights([...entries, { ...entries[0]!, name: "adapter.weight" }]);
    expect(await failure(openLlava(folder))).toMatchObject(refusal("WEIGHTS_MISMATCH", "unexpected adapter.weight"));

    const tower = entries.filter(({ name }) => !name.startsWith("vision_tower."));
    await writeWeights(tower);
    expect(await failure(openLlava(folder))).toMatchObject(
      refusal("WEIGHTS_MISMATCH", "missing vision_tower", "and 52 more"),
    );
  });

  it("are refused when cut off or empty, naming the file", async () => {
    write(configOf("llava-tiny"));
    for (const size of [0, 7, 1000, 30_000]) {
      copyFileSync(join(golden("llava-tiny"), "model.safetensors"), join(folder, "model.safetensors"));
      truncateSync(join(folder, "model.safetensors"), size);
      const error = await failure(openLlava(folder));
      expect(error).toMatchObject(refusal("SAFETENSORS_INVALID", "model.safetensors"));
    }
  });

  it("may hold half floats, which are widened", async () => {
    write(configOf("llava-tiny"));
    const entries = await entriesOf("llava-tiny");
    await writeWeights(entries.map((entry, i) => ({ ...entry, dtype: i % 2 ? "F16" : "BF16" })));
    const [one, other] = [await openLlava(golden("llava-tiny")), await openLlava(folder)];
    const halves = await values(other.language);
    for (const [name, exact] of await values(one.language)) {
      exact.forEach((x, i) => expect(Math.abs(halves.get(name)![i]! - x)).toBeLessThan(2 ** -8 * Math.abs(x) + 1e-6));
    }
    await one.close();
    await other.close();
  });
});

describe("shards with an index", () => {
  const index = (map: unknown): void =>
    writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: map }));

  it("are read as one", async () => {
    write(configOf("mistral-tiny"));
    const entries = await entriesOf("mistral-tiny");
    const half = Math.floor(entries.length / 2);
    const shards = { "a.safetensors": entries.slice(0, half), "b.safetensors": entries.slice(half) };
    const map: Record<string, string> = {};
    for (const [name, part] of Object.entries(shards)) {
      await writeWeights(part, name);
      for (const entry of part) map[entry.name] = name;
    }
    index(map);
    const [whole, sharded] = [await openLanguage(golden("mistral-tiny")), await openLanguage(folder)];
    expect(await values(sharded.weights)).toEqual(await values(whole.weights));
    await whole.close();
    await sharded.close();

    rmSync(join(folder, "b.safetensors"));
    expect(await failure(openLanguage(folder))).toMatchObject(refusal("FILE_MISSING", "b.safetensors"));
    await writeWeights(entries.slice(half - 1), "b.safetensors");
    expect(await failure(openLanguage(folder))).toMatchObject(
      refusal("WEIGHTS_INDEX", entries[half - 1]!.name, "a.safetensors", "b.safetensors"),
    );
    await writeWeights(entries.slice(half + 1), "b.safetensors");
    expect(await failure(openLanguage(folder))).toMatchObject(refusal("WEIGHTS_MISMATCH", entries[half]!.name));
  });

  it.each([
    [{ a: "../../etc/secrets.safetensors" }, "secrets"],
    [{ a: "/dev/zero" }, "zero"],
    [{ a: "model.bin" }, "model.bin"],
    [{ a: 7 }, "string"],
    [{}, "none"],
    [undefined, "weight_map"],
    ["model.safetensors", "weight_map"],
  ])("are refused when it says %j", async (map, part) => {
    write(configOf("mistral-tiny"));
    index(map);
    expect(await failure(openLanguage(folder))).toMatchObject(refusal("WEIGHTS_INDEX", part));
  });
});

describe("language models", () => {
  it.each(["qwen2-tiny", "mistral-tiny"])("are the same from GGUF: %s", async (name) => {
    copyFileSync(join(golden(name), "config.json"), join(folder, "config.json"));
    copyFileSync(join(golden(name), "model.gguf"), join(folder, "any name.gguf"));
    const expected = await openLanguage(golden(name));
    // by the folder, or by the file itself
    for (const path of [folder, join(folder, "any name.gguf")]) {
      const files = await openLanguage(path);
      expect(files.config).toEqual(expected.config);
      expect(await values(files.weights)).toEqual(await values(expected.weights));
      await files.close();
    }
    await expected.close();
  });

  it("are tied where the config says so, or says nothing and no output matrix lies there", async () => {
    const { tie_word_embeddings: _, ...silent } = configOf("mistral-tiny");
    const all = await entriesOf("mistral-tiny");
    const tied = all.filter(({ name }) => name !== "lm_head.weight");
    const opened = async (config: Json, entries: readonly SafetensorsEntry[]): Promise<boolean> => {
      write(config);
      await writeWeights(entries);
      const files = await openLanguage(folder);
      await files.close();
      return files.config.tied;
    };
    expect(await opened(silent, tied)).toBe(true);
    expect(await opened(silent, all)).toBe(false);
    expect(await opened({ ...silent, tie_word_embeddings: true }, all)).toBe(true);
    write({ ...silent, tie_word_embeddings: false });
    await writeWeights(tied);
    expect(await failure(openLanguage(folder))).toMatchObject(refusal("WEIGHTS_MISMATCH", "missing lm_head.weight"));
  });

  it("may keep a tied matrix under the output's name alone", async () => {
    write(configOf("qwen2-tiny"));
    const rename = (name: string): string => (name === "model.embed_tokens.weight" ? "lm_head.weight" : name);
    await writeWeights((await entriesOf("qwen2-tiny")).map((entry) => ({ ...entry, name: rename(entry.name) })));
    const [one, other] = [await openLanguage(golden("qwen2-tiny")), await openLanguage(folder)];
    expect(await values(other.weights)).toEqual(await values(one.weights));
    await one.close();
    await other.close();
  });

  it("end answers where either config says", async () => {
    copyFileSync(join(golden("qwen2-tiny"), "model.safetensors"), join(folder, "model.safetensors"));
    write({ ...configOf("qwen2-tiny"), eos_token_id: [2, 5] });
    writeFileSync(join(folder, "generation_config.json"), '{"eos_token_id": 7}');
    const files = await openLanguage(folder);
    expect(files.endIds).toEqual([7, 2, 5]);
    await files.close();
  });
});

describe("folders that are no model", () => {
  it("name what lacks", async () => {
    expect(await failure(openModel(join(folder, "nowhere")))).toMatchObject(refusal("MODEL_MISSING", "nowhere"));
    expect(await failure(openModel(folder))).toMatchObject(refusal("FILE_MISSING", "config.json"));
    write(configOf("qwen2-tiny"));
    expect(await failure(openModel(folder))).toMatchObject(refusal("WEIGHTS_MISSING", "none of them"));
    for (const name of ["a.gguf", "b.gguf"]) copyFileSync(join(golden("qwen2-tiny"), "model.gguf"), join(folder, name));
    expect(await failure(openModel(folder))).toMatchObject(
      refusal("WEIGHTS_MISSING", "2 .gguf files", "name the .gguf"),
    );
  });

  it.each(["[]", "null", "7", '"llava"'])("hold a config.json of %s", async (text) => {
    writeFileSync(join(folder, "config.json"), text);
    expect(await failure(openModel(folder))).toMatchObject(refusal("MODEL_CONFIG", "an object"));
  });

  it("are models of another kind", async () => {
    write({ ...configOf("qwen2-tiny"), model_type: "gpt2" });
    expect(await failure(openModel(folder))).toMatchObject(refusal("MODEL_CONFIG", "model_type"));
  });
});

describe.skipIf(!lab.present)("the lab's models", () => {
  it("opens ViT-Tiny, and leaves its classifier alone", async () => {
    const files = await openVision(lab.path("models/vit-tiny-patch16-224"));
    expect(files.config).toMatchObject({ family: "vit", layers: 12, hiddenSize: 192, activation: "gelu" });
    expect(parameterCount(files.weights)).toBe(5_524_416);
    expect(await files.preprocessor()).toMatchObject({ image_mean: [0.5, 0.5, 0.5] });
    await files.close();
  });

  it("opens TinyStories, whose tied matrix is stored as the output's", async () => {
    const files = await openModel(lab.path("models/tinystories-656k-llama"));
    if (files.kind !== "language") expect.fail(files.kind);
    expect(files.config).toMatchObject({ tied: true, layers: 2, keyValueHeads: 4, rmsNormEpsilon: 1e-6 });
    expect(parameterCount(files.weights)).toBe(656_000);
    // the origin's own test constants
    const at = async (name: string, i: number): Promise<number> => (await files.weights.load(name))[i]!;
    expect(await at("model.embed_tokens.weight", 50)).toBe(0.14453125);
    expect(await at("model.norm.weight", 100)).toBe(0.73046875);
    expect(await at("model.layers.0.mlp.up_proj.weight", 100)).toBe(1.46875);
    await files.close();
  });

  it("opens SmolLM2 from GGUF with every tensor that its config describes", async () => {
    const files = await openLanguage(lab.path("models/smollm2-135m-instruct"));
    expect(files.config).toMatchObject({
      tied: true,
      layers: 30,
      heads: 9,
      keyValueHeads: 3,
      headSize: 64,
      ropeBase: 1e5,
    });
    expect(parameterCount(files.weights)).toBe(134_515_008);
    expect(files.endIds).toEqual([2]);
    await files.close();
  });
});
