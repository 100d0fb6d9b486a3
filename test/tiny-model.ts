// A llava model of a few thousand random weights, for tests that need a whole one.
import { random } from "../src/data/random.ts";
import { type Shape, sizeOf } from "../src/graph/tensor.ts";
import { type LanguageConfig, type LlavaConfig, parseLlavaConfig } from "../src/models/config.ts";
import { languageShapes } from "../src/models/llama.ts";
import { projectorShapes } from "../src/models/projector.ts";
import { visionShapes } from "../src/models/vision.ts";
import { memoryWeights, type PartWeights } from "../src/models/weights.ts";

/** config.json of a llava checkpoint: 16×16 pictures in 4 patches, 2 layers of 16 in the tower, 3 of 16 in the decoder. */
export const tinyJson = {
  model_type: "llava",
  image_token_index: 31,
  vision_feature_layer: -2,
  vision_feature_select_strategy: "default",
  tie_word_embeddings: false,
  vision_config: {
    model_type: "clip_vision_model",
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    image_size: 16,
    patch_size: 8,
  },
  text_config: {
    model_type: "llama",
    vocab_size: 32,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 128,
    tie_word_embeddings: false,
  },
};

export const tinyConfig = (changes: object = {}): LlavaConfig => parseLlavaConfig({ ...tinyJson, ...changes }, "tiny");

/** A llava config around a language model alone, for programs that ask for one; nothing of its tower is used. */
export const aroundLanguage = (language: LanguageConfig): LlavaConfig => ({ ...tinyConfig(), language });

export const noWeights: PartWeights = memoryWeights(new Map());

/** Norms around one, everything else around zero; a pure function of names and seed. */
export function randomWeights(shapes: ReadonlyMap<string, Shape>, seed = 0): PartWeights {
  const fill = (name: string, shape: Shape): Float32Array => {
    const draw = random("tiny", seed, name);
    const middle = /norm\d?\.weight$/.test(name) ? 1 : 0;
    return Float32Array.from({ length: sizeOf(shape) }, () => middle + 0.5 * (draw.float() * 2 - 1));
  };
  return memoryWeights(new Map([...shapes].map(([name, shape]) => [name, { shape, data: fill(name, shape) }])));
}

export interface TinyModel {
  readonly config: LlavaConfig;
  readonly vision: PartWeights;
  readonly projector: PartWeights;
  readonly language: PartWeights;
}

export function tinyModel(config: LlavaConfig = tinyConfig()): TinyModel {
  return {
    config,
    vision: randomWeights(visionShapes(config.vision)),
    projector: randomWeights(projectorShapes(config)),
    language: randomWeights(languageShapes(config.language)),
  };
}
