// Writes a llava config.json that transformers reads, with what it can't say under `llava_ts`.
import { InputError } from "../errors.ts";
import { type LanguageConfig, type LlavaConfig, tokensPerPicture } from "./config.ts";

/** Keys that transformers 5 takes as Python floats alone: a whole number needs its point. */
const wholeFloats = /^(\s*"(?:initializer_range|initializer_factor|layer_norm_eps|rms_norm_eps)": -?\d+)(?=,?$)/gm;

/** Element types that weights are written in, by their names in config.json. */
export const writtenDTypes = { F32: "float32", F16: "float16", BF16: "bfloat16" } as const;
export type WrittenDType = keyof typeof writtenDTypes;

/** The text of config.json, a line for each key. */
export function llavaConfigText(config: LlavaConfig, dtype: WrittenDType = "F32"): string {
  return textOf(llavaConfigJson(config, dtype));
}

/** The text of a bare language model's config.json. */
export function languageConfigText(config: LanguageConfig, dtype: WrittenDType): string {
  return textOf({ ...languageJson(config), torch_dtype: writtenDTypes[dtype] });
}

/** JSON in which the keys that must be floats are. */
export function textOf(json: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify(json, null, 2).replaceAll(wholeFloats, "$1.0")}\n`;
}

/**
 * The config.json of a llava checkpoint (layout A; loads in transformers 4.57 and 5.x for CLIP and SigLIP towers
 * without pixel shuffle and with the two-layer projector). `text_config.rope_theta` is written beside `rope_parameters`
 * because older transformers read only the former.
 */
export function llavaConfigJson(config: LlavaConfig, dtype: WrittenDType): Readonly<Record<string, unknown>> {
  const { vision, language, projector, features } = config;
  if (language.vocabSize <= config.imageTokenId) {
    throw new InputError("MODEL_CONFIG", {
      expected: `an image token below ${language.vocabSize}`,
      got: String(config.imageTokenId),
    });
  }
  return {
    architectures: ["LlavaForConditionalGeneration"],
    model_type: "llava",
    image_token_index: config.imageTokenId,
    image_seq_length: tokensPerPicture(config),
    projector_hidden_act: projector.activation,
    multimodal_projector_bias: projector.bias,
    vision_feature_layer: features.layer,
    vision_feature_select_strategy: features.select,
    tie_word_embeddings: language.tied,
    torch_dtype: writtenDTypes[dtype],
    text_config: languageJson(language),
    vision_config: vision.family === "siglip" ? { ...vision.raw, vision_use_head: false } : vision.raw,
    llava_ts: {
      projector: projector.kind,
      pixel_shuffle: projector.pixelShuffle,
      ...(config.tiles === undefined ? {} : { tiles: config.tiles }),
      ...(config.template === undefined ? {} : { template: config.template }),
    },
  };
}

function languageJson(language: LanguageConfig): Readonly<Record<string, unknown>> {
  return {
    ...language.raw,
    vocab_size: language.vocabSize,
    tie_word_embeddings: language.tied,
    rope_theta: language.ropeBase,
    head_dim: language.headSize,
  };
}
