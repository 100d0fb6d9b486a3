import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { tinyConfig, tinyJson, tinyModel, type TinyModel } from "../../test/tiny-model.ts";
import { openFile } from "../formats/node.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { parsePreprocessor } from "../image/preprocessor.ts";
import { openLlava } from "./node.ts";
import { type ModelToSave, saveModel } from "./save-node.ts";
import type { PartWeights } from "./weights.ts";

const root = mkdtempSync(join(tmpdir(), "save-"));
let folder: string;
beforeEach(() => (folder = join(mkdtempSync(join(root, "run-")), "model")));
afterAll(() => rmSync(root, { recursive: true }));

const preprocessor = parsePreprocessor({ image_processor_type: "ViTImageProcessor", size: 16 }, "test");
const toSave = (model: TinyModel, changes: Partial<ModelToSave> = {}): ModelToSave => ({
  ...model,
  tokenizerFiles: {
    where: "test",
    tokenizerJson: { version: "1.0", added_tokens: [] },
    tokenizerConfig: { model_max_length: 128, chat_template: "old" },
    chatTemplate: "{{ messages }}",
  },
  preprocessor,
  endIds: [2, 5],
  ...changes,
});

const vit = { ...tinyJson.vision_config, model_type: "vit" };
const siglip = { ...tinyJson.vision_config, model_type: "siglip_vision_model" };
const { text_config: text } = tinyJson;
const models: [string, object][] = [
  ["CLIP, two layers", {}],
  [
    "ViT, pixel shuffle, one layer, template",
    {
      vision_config: vit,
      llava_ts: { projector: "linear", pixel_shuffle: 2, template: "chatml" },
    },
  ],
  [
    "SigLIP, tied",
    {
      vision_config: siglip,
      vision_feature_select_strategy: "full",
      text_config: { ...text, tie_word_embeddings: true },
    },
  ],
  [
    "qwen2, no biases in the projector",
    { text_config: { ...text, model_type: "qwen2" }, multimodal_projector_bias: false },
  ],
  ["mistral with wide heads", { text_config: { ...text, model_type: "mistral", sliding_window: 9, head_dim: 8 } }],
];

async function same(a: PartWeights, b: PartWeights): Promise<void> {
  expect([...b.shapes]).toEqual([...a.shapes]);
  for (const name of a.shapes.keys()) expect(await b.load(name)).toEqual(await a.load(name));
}

describe("a model that is written and read", () => {
  it.each(models)("is the same: %s", async (_, changes) => {
    const model = tinyModel(tinyConfig(changes));
    await saveModel(folder, toSave(model));
    const files = await openLlava(folder);
    for (const part of ["vision", "projector", "language"] as const) await same(model[part], files[part]);
    const plain = ({ vision, language, ...rest }: typeof model.config): object => ({
      ...rest,
      vision: { ...vision, raw: undefined },
      language: { ...language, raw: undefined },
    });
    expect(plain(files.config)).toEqual(plain(model.config));
    expect(files.endIds.toSorted()).toEqual([2, 5]);
    expect(parsePreprocessor(await files.preprocessor(), "read back")).toEqual(preprocessor);
    const tokenizer = await files.tokenizer();
    expect(tokenizer.chatTemplate).toBe("{{ messages }}");
    expect(tokenizer.tokenizerJson).toEqual({ version: "1.0", added_tokens: [] });
    await files.close();
    // and once more: nothing is added or lost on the way
    await saveModel(`${folder}2`, toSave({ ...model, config: files.config }));
    const read = (path: string): string => readFileSync(join(path, "config.json"), "utf8");
    expect(JSON.parse(read(`${folder}2`))).toEqual(JSON.parse(read(folder)));
  });

  it("writes whole numbers with a point where transformers takes nothing but floats", async () => {
    const vision_config = { ...tinyJson.vision_config, initializer_factor: 1, layer_norm_eps: 1e-5 };
    const config = tinyConfig({ vision_config, text_config: { ...text, rms_norm_eps: 1, note: '"rms_norm_eps": 1' } });
    await saveModel(folder, toSave(tinyModel(config)));
    const json = readFileSync(join(folder, "config.json"), "utf8");
    expect(json).toContain('"initializer_factor": 1.0,\n');
    expect(json).toContain('"rms_norm_eps": 1.0,\n');
    expect((JSON.parse(json) as typeof tinyJson).text_config).toMatchObject({
      note: '"rms_norm_eps": 1',
      vocab_size: 32,
    });
  });

  it("names its tensors as layout A does", async () => {
    await saveModel(folder, toSave(tinyModel()));
    const source = await openFile(join(folder, "model.safetensors"));
    const { tensors, metadata } = await readSafetensors(source);
    await source.close();
    for (const name of [
      "vision_tower.vision_model.embeddings.class_embedding",
      "vision_tower.vision_model.pre_layrnorm.weight",
      "vision_tower.vision_model.encoder.layers.1.self_attn.out_proj.bias",
      "multi_modal_projector.linear_2.weight",
      "language_model.model.layers.2.mlp.down_proj.weight",
      "language_model.lm_head.weight",
    ]) {
      expect([...tensors.keys()]).toContain(name);
    }
    expect(metadata.get("format")).toBe("pt");
  });

  it("replaces an older one, and leaves nothing else beside it", async () => {
    mkdirSync(folder);
    writeFileSync(join(folder, "model-00001-of-00002.safetensors"), "old");
    await saveModel(folder, toSave(tinyModel()));
    expect(existsSync(join(folder, "model-00001-of-00002.safetensors"))).toBe(false);
    expect(readdirSync(join(folder, ".."))).toEqual(["model"]);
  });

  it("keeps the older one when writing fails", async () => {
    await saveModel(folder, toSave(tinyModel()));
    const model = tinyModel();
    const broken: PartWeights = { ...model.language, load: () => Promise.reject(new Error("gone")) };
    await expect(saveModel(folder, toSave({ ...model, language: broken }))).rejects.toThrow("gone");
    expect(readdirSync(join(folder, ".."))).toEqual(["model"]);
    await (await openLlava(folder)).close();
  });

  it("is refused with an image token beyond the vocabulary", async () => {
    const model = tinyModel();
    const config = { ...model.config, imageTokenId: 32 };
    await expect(saveModel(folder, toSave({ ...model, config }))).rejects.toMatchObject({ code: "MODEL_CONFIG" });
    expect(existsSync(folder)).toBe(false);
  });
});
