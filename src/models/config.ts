// What a model is: our reading of Hugging Face config.json files, and what that layout cannot say in extra keys.
import { z } from "zod";
import { InputError } from "../errors.ts";
import { activations, type ActivationName } from "../nn/activation.ts";
import { withLlamaDefaults } from "./config-defaults.ts";

type Json = Readonly<Record<string, unknown>>;

/** A decoder of the LLaMA family; mistral and qwen2 differ in a window and in biases. */
export interface LanguageConfig {
  readonly family: "llama" | "mistral" | "qwen2";
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly ropeBase: number;
  readonly rmsNormEpsilon: number;
  readonly tied: boolean;
  /** biases on q, k, v (qwen2) */
  readonly queryKeyValueBias: boolean;
  /** a query sees at most this many positions back (mistral) */
  readonly slidingWindow?: number;
  readonly maxPositions: number;
  /** the file's own keys, written back unchanged */
  readonly raw: Json;
}

export interface VisionConfig {
  readonly family: "clip" | "siglip" | "vit";
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly imageSize: number;
  readonly patchSize: number;
  readonly activation: ActivationName;
  readonly layerNormEpsilon: number;
  readonly raw: Json;
}

export interface ProjectorConfig {
  readonly kind: "mlp2x_gelu" | "linear";
  /** r: r×r neighbouring patches become one token of r² the width (1 = off) */
  readonly pixelShuffle: number;
  readonly bias: boolean;
  readonly activation: ActivationName;
}

/** How the tower's hidden states become features. */
export interface FeatureConfig {
  /** index into hidden states (embeddings first), negative from the end as in Hugging Face; several are put side by side */
  readonly layer: number | readonly number[];
  /** "default" drops the first position, the class token where there is one (a patch for SigLIP), "full" keeps all */
  readonly select: "default" | "full";
}

export interface LlavaConfig {
  readonly vision: VisionConfig;
  readonly language: LanguageConfig;
  readonly projector: ProjectorConfig;
  readonly features: FeatureConfig;
  readonly imageTokenId: number;
  /** a picture is seen whole and in up to so many tiles (image/tiles.ts); absent: whole alone */
  readonly tiles?: number;
  /** the conversation template it was trained with, when we know */
  readonly template?: string;
}

const count = z.number().int().positive().max(1e7);
const activation = z.enum(Object.keys(activations) as [ActivationName, ...ActivationName[]]);

const languageSchema = z.looseObject({
  model_type: z.enum(["llama", "mistral", "qwen2"]),
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count.max(1000),
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  hidden_act: z.literal("silu").default("silu"),
  max_position_embeddings: count.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().optional(),
  rope_parameters: z
    .looseObject({ rope_theta: z.number().positive().optional(), rope_type: z.string().optional() })
    .nullish(),
  rope_scaling: z.looseObject({ rope_type: z.string().optional(), type: z.string().optional() }).nullish(),
  tie_word_embeddings: z.boolean().optional(),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.literal(false).default(false),
  sliding_window: count.nullish(),
  use_sliding_window: z.boolean().optional(),
  max_window_layers: z.number().int().nonnegative().default(28),
});

/** Reads a LLaMA, Mistral or Qwen2 config; `fallbackTied` is llava's top-level `tie_word_embeddings`. */
export function parseLanguageConfig(json: unknown, where: string, fallbackTied = false): LanguageConfig {
  const c = checked(languageSchema, json, where);
  const scaling = c.rope_scaling?.rope_type ?? c.rope_scaling?.type ?? c.rope_parameters?.rope_type ?? "default";
  if (scaling !== "default") {
    throw new InputError("MODEL_ROPE", {
      expected: 'rope_type "default"',
      got: `"${scaling}"`,
      where,
      fix: "choose a model without scaled rotary positions",
    });
  }
  const headSize = c.head_dim ?? c.hidden_size / c.num_attention_heads;
  const keyValueHeads = c.num_key_value_heads ?? c.num_attention_heads;
  if (headSize % 2 !== 0) {
    const got = `${headSize} (hidden_size ${c.hidden_size}, num_attention_heads ${c.num_attention_heads})`;
    throw new InputError("MODEL_CONFIG", { expected: "heads of an even whole size", got, where });
  }
  if (c.num_attention_heads % keyValueHeads !== 0) {
    const got = `${c.num_attention_heads} / ${keyValueHeads}`;
    throw new InputError("MODEL_CONFIG", {
      expected: "num_attention_heads divisible by num_key_value_heads",
      got,
      where,
    });
  }
  return {
    family: c.model_type,
    vocabSize: c.vocab_size,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    layers: c.num_hidden_layers,
    heads: c.num_attention_heads,
    keyValueHeads,
    headSize,
    ropeBase: c.rope_theta ?? c.rope_parameters?.rope_theta ?? 10000,
    rmsNormEpsilon: c.rms_norm_eps,
    tied: c.tie_word_embeddings ?? fallbackTied,
    queryKeyValueBias: c.model_type === "qwen2" || c.attention_bias,
    ...(windowed(c, where) && c.sliding_window != null ? { slidingWindow: c.sliding_window } : {}),
    maxPositions: c.max_position_embeddings,
    raw: json as Json,
  };
}

/** Mistral's layers all have the window; qwen2's from `max_window_layers` on, where it is used at all. */
function windowed(c: z.output<typeof languageSchema>, where: string): boolean {
  if (c.model_type !== "qwen2") return c.model_type === "mistral";
  if (c.use_sliding_window !== true || c.max_window_layers >= c.num_hidden_layers) return false;
  if (c.max_window_layers === 0) return true;
  throw new InputError("MODEL_CONFIG", {
    expected: "a sliding window in all layers or in none",
    got: `max_window_layers ${c.max_window_layers} of ${c.num_hidden_layers}`,
    where,
  });
}

const visionFamilies = { clip_vision_model: "clip", siglip_vision_model: "siglip", vit: "vit" } as const;
const visionDefaults = {
  clip: { hidden_act: "quick_gelu", layer_norm_eps: 1e-5 },
  siglip: { hidden_act: "gelu_pytorch_tanh", layer_norm_eps: 1e-6 },
  vit: { hidden_act: "gelu", layer_norm_eps: 1e-12 },
} as const;
const visionSchema = z.looseObject({
  model_type: z.enum(Object.keys(visionFamilies) as [keyof typeof visionFamilies]),
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count.max(1000),
  num_attention_heads: count,
  image_size: count.max(16384),
  patch_size: count,
  num_channels: z.literal(3).default(3),
  hidden_act: activation.optional(),
  layer_norm_eps: z.number().positive().optional(),
  qkv_bias: z.literal(true).default(true),
});

/** Reads a CLIP, SigLIP or ViT vision config (a CLIP or SigLIP model's config holds it as `vision_config`). */
export function parseVisionConfig(json: unknown, where: string): VisionConfig {
  const nested = json !== null && typeof json === "object" && "vision_config" in json ? json.vision_config : json;
  const c = checked(visionSchema, nested, where);
  const family = visionFamilies[c.model_type];
  if (c.image_size % c.patch_size !== 0 || c.hidden_size % c.num_attention_heads !== 0) {
    throw new InputError("MODEL_CONFIG", {
      expected: "image_size divisible by patch_size, hidden_size by num_attention_heads",
      got: `${c.image_size} / ${c.patch_size}, ${c.hidden_size} / ${c.num_attention_heads}`,
      where,
    });
  }
  return {
    family,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    layers: c.num_hidden_layers,
    heads: c.num_attention_heads,
    imageSize: c.image_size,
    patchSize: c.patch_size,
    activation: c.hidden_act ?? visionDefaults[family].hidden_act,
    layerNormEpsilon: c.layer_norm_eps ?? visionDefaults[family].layer_norm_eps,
    raw: nested as Json,
  };
}

const llavaSchema = z.looseObject({
  model_type: z.literal("llava"),
  text_config: z.unknown(),
  vision_config: z.unknown(),
  image_token_index: z.number().int().nonnegative().optional(),
  image_token_id: z.number().int().nonnegative().optional(),
  projector_hidden_act: activation.default("gelu"),
  multimodal_projector_bias: z.boolean().default(true),
  vision_feature_layer: z.union([z.number().int(), z.array(z.number().int()).min(1).max(64)]).default(-2),
  vision_feature_select_strategy: z.enum(["default", "full"]).default("default"),
  tie_word_embeddings: z.boolean().default(false),
  llava_ts: z
    .looseObject({
      projector: z.enum(["mlp2x_gelu", "linear"]).default("mlp2x_gelu"),
      pixel_shuffle: z.number().int().min(1).max(16).default(1),
      tiles: z.number().int().min(2).max(36).optional(),
      template: z.string().optional(),
    })
    .optional(),
});

/** Reads a `llava` config.json; the keys under `llava_ts` (docs/guide.md) say what Hugging Face's layout can't. */
export function parseLlavaConfig(json: unknown, where: string): LlavaConfig {
  const c = checked(llavaSchema, json, where);
  const imageTokenId = c.image_token_index ?? c.image_token_id;
  if (imageTokenId === undefined) {
    throw new InputError("MODEL_CONFIG", { expected: "image_token_index", got: "none", where });
  }
  const vision = parseVisionConfig(c.vision_config, `${where}: vision_config`);
  const shuffle = c.llava_ts?.pixel_shuffle ?? 1;
  const tower = { vision, features: { layer: c.vision_feature_layer, select: c.vision_feature_select_strategy } };
  checkFeatures(tower, shuffle, where);
  return {
    ...tower,
    language: parseLanguageConfig(withLlamaDefaults(c.text_config), `${where}: text_config`, c.tie_word_embeddings),
    projector: {
      kind: c.llava_ts?.projector ?? "mlp2x_gelu",
      pixelShuffle: shuffle,
      bias: c.multimodal_projector_bias,
      activation: c.projector_hidden_act,
    },
    imageTokenId,
    ...(c.llava_ts?.tiles === undefined ? {} : { tiles: c.llava_ts.tiles }),
    ...(c.llava_ts?.template === undefined ? {} : { template: c.llava_ts.template }),
  };
}

/** How many positions are features beyond the patches: 1 for a class token that is kept, -1 where a patch is dropped. */
function beyondPatches({ family }: VisionConfig, select: FeatureConfig["select"]): number {
  return (family === "siglip" ? 0 : 1) - (select === "default" ? 1 : 0);
}

/** Throws `MODEL_CONFIG` for a layer that the tower does not have. */
export function checkLayers({ vision, features }: Pick<LlavaConfig, "vision" | "features">, where: string): void {
  const strange = [features.layer].flat().find((index) => index > vision.layers || index < -vision.layers - 1);
  if (strange === undefined) return;
  const expected = `a vision_feature_layer from ${-vision.layers - 1} to ${vision.layers}`;
  throw new InputError("MODEL_CONFIG", { expected, got: String(strange), where });
}

/** Throws `MODEL_CONFIG` for a layer that the tower does not have, and patches that a pixel shuffle can't divide. */
function checkFeatures(tower: Pick<LlavaConfig, "vision" | "features">, shuffle: number, where: string): void {
  const fail = (expected: string, got: string): never => {
    throw new InputError("MODEL_CONFIG", { expected, got, where });
  };
  checkLayers(tower, where);
  if (shuffle === 1) return;
  const { vision, features } = tower;
  const side = vision.imageSize / vision.patchSize;
  if (side % shuffle !== 0) fail(`a pixel_shuffle that divides ${side} patches a side`, String(shuffle));
  if (beyondPatches(vision, features.select) !== 0) {
    const right = vision.family === "siglip" ? "full" : "default";
    fail(`vision_feature_select_strategy "${right}" with pixel_shuffle`, `"${features.select}"`);
  }
}

/** Tokens that one view of a picture becomes in the language model. */
export function tokensPerPicture({
  vision,
  projector,
  features,
}: Pick<LlavaConfig, "vision" | "projector" | "features">): number {
  const side = vision.imageSize / vision.patchSize / projector.pixelShuffle;
  return side * side + beyondPatches(vision, features.select);
}

function checked<S extends z.ZodType>(schema: S, json: unknown, where: string): z.output<S> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new InputError("MODEL_CONFIG", {
    expected: issue.message,
    got: `at ${issue.path.join(".") || "the top"}`,
    where,
  });
}
