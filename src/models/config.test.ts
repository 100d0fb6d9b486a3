import { describe, expect, it } from "vitest";
import { tinyConfig, tinyJson } from "../../test/tiny-model.ts";
import { parseLanguageConfig, parseLlavaConfig, parseVisionConfig, tokensPerPicture } from "./config.ts";

const text = tinyJson.text_config;
const language = (changes: object) => parseLanguageConfig({ ...text, ...changes }, "config.json");
const vision = (changes: object) => parseVisionConfig({ ...tinyJson.vision_config, ...changes }, "config.json");
const refused = (code: string, part: string): object => ({
  code,
  exitCode: 2,
  message: expect.stringContaining(part) as string,
});
function thrown(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return expect.fail("nothing was refused");
}

describe("a language config", () => {
  it("has the defaults of older files", () => {
    const { num_key_value_heads: _, ...old } = text;
    expect(parseLanguageConfig(old, "x")).toMatchObject({
      keyValueHeads: 4,
      headSize: 4,
      ropeBase: 10000,
      rmsNormEpsilon: 1e-6,
      queryKeyValueBias: false,
    });
    expect(language({ rope_parameters: { rope_theta: 5e5, rope_type: "default" } }).ropeBase).toBe(5e5);
    expect(language({ rope_theta: 2e4, rope_scaling: null }).ropeBase).toBe(2e4);
    expect(language({ head_dim: 8 }).headSize).toBe(8);
    expect(language({ attention_bias: true }).queryKeyValueBias).toBe(true);
  });

  it("has a window where the family uses one", () => {
    const window = { sliding_window: 7 };
    expect(language(window).slidingWindow).toBeUndefined();
    expect(language({ model_type: "mistral", ...window }).slidingWindow).toBe(7);
    expect(language({ model_type: "mistral", sliding_window: null }).slidingWindow).toBeUndefined();
    const qwen2 = { model_type: "qwen2", ...window };
    expect(language(qwen2).slidingWindow).toBeUndefined();
    expect(language({ ...qwen2, use_sliding_window: true }).slidingWindow).toBeUndefined();
    expect(language({ ...qwen2, use_sliding_window: true, max_window_layers: 0 }).slidingWindow).toBe(7);
    const mixed = { ...qwen2, use_sliding_window: true, max_window_layers: 1 };
    expect(thrown(() => language(mixed))).toMatchObject(refused("MODEL_CONFIG", "max_window_layers 1 of 3"));
  });

  it.each([
    [{ rope_scaling: { rope_type: "llama3", factor: 8 } }, "llama3"],
    [{ rope_scaling: { type: "linear", factor: 2 } }, "linear"],
    [{ rope_parameters: { rope_theta: 1e4, rope_type: "yarn" } }, "yarn"],
  ])("is refused with positions that are scaled: %j", (changes, kind) => {
    expect(thrown(() => language(changes))).toMatchObject(refused("MODEL_ROPE", `"${kind}"`));
  });

  it.each([
    [{ num_attention_heads: 3 }, "even whole size"],
    [{ head_dim: 5 }, "even whole size"],
    [{ num_key_value_heads: 3 }, "4 / 3"],
    [{ hidden_size: -16 }, "hidden_size"],
    [{ vocab_size: "many" }, "vocab_size"],
    [{ num_hidden_layers: 1e6 }, "num_hidden_layers"],
    [{ hidden_act: "relu" }, "hidden_act"],
    [{ mlp_bias: true }, "mlp_bias"],
    [{ model_type: "mamba" }, "model_type"],
  ])("is refused with %j", (changes, part) => {
    expect(thrown(() => language(changes))).toMatchObject(refused("MODEL_CONFIG", part));
  });
});

describe("a vision config", () => {
  it("lies inside a whole CLIP model's, and has each family's defaults", () => {
    const inside = parseVisionConfig({ model_type: "clip", vision_config: tinyJson.vision_config }, "x");
    expect(inside).toMatchObject({ family: "clip", activation: "quick_gelu", layerNormEpsilon: 1e-5 });
    expect(vision({ model_type: "siglip_vision_model" })).toMatchObject({
      family: "siglip",
      activation: "gelu_pytorch_tanh",
      layerNormEpsilon: 1e-6,
    });
    expect(vision({ model_type: "vit", layer_norm_eps: 1e-6 })).toMatchObject({
      activation: "gelu",
      layerNormEpsilon: 1e-6,
    });
  });

  it.each([
    [{ image_size: 17 }, "17 / 8"],
    [{ num_attention_heads: 3 }, "16 / 3"],
    [{ num_channels: 1 }, "num_channels"],
    [{ qkv_bias: false }, "qkv_bias"],
    [{ hidden_act: "mish" }, "hidden_act"],
  ])("is refused with %j", (changes, part) => {
    expect(thrown(() => vision(changes))).toMatchObject(refused("MODEL_CONFIG", part));
  });
});

const siglip = { ...tinyJson.vision_config, model_type: "siglip_vision_model" };

describe("a llava config", () => {
  it("counts the tokens of a picture", () => {
    expect(tokensPerPicture(tinyConfig())).toBe(4);
    expect(tokensPerPicture(tinyConfig({ vision_feature_select_strategy: "full" }))).toBe(5);
    expect(tokensPerPicture(tinyConfig({ vision_config: siglip, vision_feature_select_strategy: "full" }))).toBe(4);
    expect(tokensPerPicture(tinyConfig({ vision_config: siglip }))).toBe(3);
    expect(tokensPerPicture(tinyConfig({ llava_ts: { pixel_shuffle: 2 } }))).toBe(1);
  });

  it("takes either name of the image token, and tied weights from the top where the inner config is silent", () => {
    const { image_token_index: _, ...json } = tinyJson;
    expect(parseLlavaConfig({ ...json, image_token_id: 9 }, "x").imageTokenId).toBe(9);
    expect(thrown(() => parseLlavaConfig(json, "x"))).toMatchObject(refused("MODEL_CONFIG", "image_token_index"));
    const { tie_word_embeddings: __, ...silent } = text;
    expect(tinyConfig({ text_config: silent, tie_word_embeddings: true }).language.tied).toBe(true);
  });

  it.each([
    [{ vision_feature_layer: -4 }, "from -3 to 2"],
    [{ vision_feature_layer: 3 }, "from -3 to 2"],
    [{ llava_ts: { pixel_shuffle: 3 } }, "divides 2 patches"],
    [{ llava_ts: { pixel_shuffle: 2 }, vision_feature_select_strategy: "full" }, 'strategy "default" with'],
    [{ llava_ts: { pixel_shuffle: 2 }, vision_config: siglip }, 'strategy "full" with'],
    [{ llava_ts: { projector: "resampler" } }, "llava_ts.projector"],
    [{ vision_feature_select_strategy: "cls" }, "vision_feature_select_strategy"],
    [{ text_config: undefined }, "text_config"],
    [{ vision_config: null }, "vision_config"],
  ])("is refused with %j", (changes, part) => {
    expect(thrown(() => tinyConfig(changes))).toMatchObject(refused("MODEL_CONFIG", part));
  });
});
