// Writes a llava config.json that transformers reads, with what it can't say under `llava_ts`.
import { InputError } from "../errors.ts";
import { type LlavaConfig, tokensPerPicture } from "./config.ts";

/** Keys that transformers 5 takes as Python floats alone: a whole number needs its point. */
const wholeFloats = /^(\s*"(?:initializer_range|initializer_factor|layer_norm_eps|rms_norm_eps)": -?\d+)(?=,?$)/gm;

/** The text of config.json, a line for each key. */
export function llavaConfigText(config: LlavaConfig): string {
  return `${JSON.stringify(llavaConfigJson(config), null, 2).replaceAll(wholeFloats, "$1.0")}\n`;
}

/**
 * The config.json of a llava checkpoint (layout A; loads in transformers 4.57 and 5.x for CLIP and SigLIP towers
 * without pixel shuffle and with the two-layer projector). `text_config.rope_theta` is written beside `rope_parameters`
 * because older transformers read only the former.
 */
function llavaConfigJson(config: LlavaConfig): Readonly<Record<string, unknown>> {
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
    torch_dtype: "float32",
    text_config: {
      ...language.raw,
      vocab_size: language.vocabSize,
      tie_word_embeddings: language.tied,
      rope_theta: language.ropeBase,
      head_dim: language.headSize,
    },
    vision_config: vision.family === "siglip" ? { ...vision.raw, vision_use_head: false } : vision.raw,
    llava_ts: {
      projector: projector.kind,
      pixel_shuffle: projector.pixelShuffle,
      ...(config.tiles === undefined ? {} : { tiles: config.tiles }),
      ...(config.template === undefined ? {} : { template: config.template }),
    },
  };
}
