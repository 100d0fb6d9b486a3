// GGUF exports by our own reader: the weights of the model, its tokenizer, and the keys that llama.cpp asks for.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lab } from "../../test/lab.ts";
import { tinyJson } from "../../test/tiny-model.ts";
import { writeTinyLlava } from "../../test/tiny-export.ts";
import { type GgufFile, readGguf } from "../formats/gguf.ts";
import { unpermuteRows } from "../formats/gguf-rope.ts";
import { openFile } from "../formats/node.ts";
import { openLlava, openModel } from "../models/node.ts";
import { tinyFiles } from "../text/tokenizers.fixture.ts";
import { exportModel } from "./export.ts";
import { tokenizerFields } from "./gguf-tokenizer.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "gguf-"));
});
afterAll(() => rm(root, { recursive: true }));

async function withGguf<T>(path: string, work: (file: GgufFile) => Promise<T>): Promise<T> {
  const source = await openFile(path);
  try {
    return await work(await readGguf(source));
  } finally {
    await source.close();
  }
}

describe("a llava model", () => {
  const model = (): string => join(root, "model");
  beforeAll(async () => {
    await writeTinyLlava(model(), { vision_feature_layer: -2 as unknown as object });
    await exportModel(model(), { to: "gguf", out: join(root, "tiny"), dtype: "F32" });
  });

  it("has its language model's values, q and k in llama.cpp's order", async () => {
    expect((await readdir(join(root, "tiny"))).toSorted()).toEqual([
      "README.md",
      "mmproj-tiny-F32.gguf",
      "tiny-F32.gguf",
    ]);
    const files = await openLlava(model());
    await withGguf(join(root, "tiny", "tiny-F32.gguf"), async (file) => {
      const q = await file.loadFloat32("blk.1.attn_q.weight");
      expect(unpermuteRows(q, 16, 16, 4)).toEqual(await files.language.load("model.layers.1.self_attn.q_proj.weight"));
      expect(await file.loadFloat32("blk.2.ffn_up.weight")).toEqual(
        await files.language.load("model.layers.2.mlp.up_proj.weight"),
      );
      expect(file.metadata.number("llama.attention.head_count_kv")).toBe(2);
      expect(file.metadata.number("llama.attention.key_length")).toBe(4);
      expect(file.metadata.texts("tokenizer.ggml.tokens")).toHaveLength(files.config.language.vocabSize);
    });
    await files.close();
  });

  it("has the layers of its tower that features need, and the projector", async () => {
    const files = await openLlava(model());
    await withGguf(join(root, "tiny", "mmproj-tiny-F32.gguf"), async (file) => {
      const names = [...file.tensors.keys()];
      expect(names.filter((name) => name.startsWith("v.blk.1."))).toEqual([]);
      expect(names.some((name) => name.startsWith("v.post_ln"))).toBe(false);
      expect(file.metadata.number("clip.vision.block_count")).toBe(1);
      expect(file.metadata.numbers("clip.vision.feature_layer")).toEqual([1]);
      expect(file.metadata.boolean("clip.use_gelu")).toBe(false);
      expect(await file.loadFloat32("v.blk.0.ffn_down.weight")).toEqual(await files.vision.load("layers.0.fc1.weight"));
      expect(await file.loadFloat32("v.class_embd")).toEqual(await files.vision.load("class"));
      expect(file.tensors.get("v.patch_embd.weight")!.shape).toEqual([16, 3, 8, 8]);
      expect(await file.loadFloat32("mm.2.weight")).toEqual(await files.projector.load("linear_2.weight"));
    });
    await files.close();
  });

  it.each([
    ["a ViT", { vision_config: { ...tinyJson.vision_config, model_type: "vit" } }],
    ["pixel shuffle 2", { llava_ts: { pixel_shuffle: 2 } }],
    ['"full"', { vision_feature_select_strategy: "full" }],
    ["1, 0", { vision_feature_layer: [1, 0] }],
  ])("is refused where llama.cpp has no place for it: %s", async (got, changes) => {
    const folder = await mkdtemp(join(root, "odd-"));
    await writeTinyLlava(join(folder, "model"), changes as unknown as Record<string, object>);
    const exported = exportModel(join(folder, "model"), { to: "gguf", out: join(folder, "out") });
    await expect(exported).rejects.toMatchObject({ code: "EXPORT_UNSUPPORTED" });
    await expect(exported).rejects.toThrow(got);
    expect(await readdir(folder)).toEqual(["model"]);
  });
});

describe("a tokenizer", () => {
  const fieldsOf = (name: string, size = 400): ReturnType<typeof tokenizerFields> => {
    const { tokenizer, config } = tinyFiles(name);
    return tokenizerFields({ where: name, tokenizerJson: tokenizer, tokenizerConfig: config }, size, [0]);
  };

  it("of bytes has merges and a rule that llama.cpp knows", () => {
    const fields = fieldsOf("bytes");
    expect(fields.get("tokenizer.ggml.model")!.value).toBe("gpt2");
    expect(fields.get("tokenizer.ggml.pre")!.value).toBe("smollm");
    const kinds = fields.get("tokenizer.ggml.token_type")!.value as number[];
    expect(kinds.slice(0, 5)).toEqual([3, 3, 3, 3, 1]);
    expect(kinds.slice(330)).toEqual(Array(70).fill(5));
  });

  it("of pieces has scores in the order of its merges", () => {
    const fields = fieldsOf("pieces_first");
    expect(fields.get("tokenizer.ggml.model")!.value).toBe("llama");
    expect(fields.get("tokenizer.ggml.add_space_prefix")!.value).toBe(true);
    const scores = fields.get("tokenizer.ggml.scores")!.value as number[];
    expect(scores.filter((score) => score > -1000 && score <= 0).length).toBeGreaterThan(60);
    const tokens = fields.get("tokenizer.ggml.tokens")!.value as string[];
    const { merges } = tinyFiles("pieces_first").tokenizer["model"] as { merges: (string | string[])[] };
    const made = (i: number): string => [merges[i]!].flat().join("").replace(" ", "");
    expect(scores[tokens.indexOf(made(0))]).toBeGreaterThan(scores[tokens.indexOf(made(5))]!);
  });

  it("of words is refused", () => {
    expect(() => fieldsOf("words")).toThrow("BPE");
  });
});

// skipped where ../shared does not lie beside the project
describe.skipIf(!lab.present)("a language model of the lab", () => {
  it.each(["Q8_0", "Q4_0", "Q4_K"])("in %s is near itself when read back", async (quantize) => {
    const source = lab.path("models/tinystories-656k-llama");
    const out = join(root, `stories-${quantize}`);
    await exportModel(source, { to: "gguf", out, quantize });
    const model = await openModel(source);
    if (model.kind !== "language") throw new Error("a language model was expected");
    await withGguf(join(out, `stories-${quantize}-${quantize}.gguf`), async (file) => {
      for (const [ours, theirs] of [
        ["model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight"],
        ["model.embed_tokens.weight", "token_embd.weight"],
      ] as const) {
        const [x, y] = [await model.weights.load(ours), await file.loadFloat32(theirs)];
        const norm = (f: (v: number, i: number) => number): number => x.reduce((sum, v, i) => sum + f(v, i) ** 2, 0);
        expect(Math.sqrt(norm((v, i) => v - y[i]!) / norm((v) => v))).toBeLessThan(quantize === "Q8_0" ? 0.01 : 0.12);
      }
    });
    await model.close();
  });
});
