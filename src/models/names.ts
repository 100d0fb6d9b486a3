// Where each family keeps its weights: our names → the names in its files.
import type { VisionConfig } from "./config.ts";

interface VisionNames {
  readonly fixed: Readonly<Record<string, string>>;
  readonly layer: (n: number) => string;
  readonly inLayer: Readonly<Record<string, string>>;
}

const clipLayer = {
  norm1: "layer_norm1",
  norm2: "layer_norm2",
  q: "self_attn.q_proj",
  k: "self_attn.k_proj",
  v: "self_attn.v_proj",
  o: "self_attn.out_proj",
  fc1: "mlp.fc1",
  fc2: "mlp.fc2",
};
const clipFixed = {
  "patch.weight": "embeddings.patch_embedding.weight",
  "patch.bias": "embeddings.patch_embedding.bias",
  class: "embeddings.class_embedding",
  position: "embeddings.position_embedding.weight",
  // the misspelling is CLIP's own
  pre_norm: "pre_layrnorm",
  post_norm: "post_layernorm",
};

/** Names below the tower's own prefix: `vision_model.` for CLIP and SigLIP, `vit.` for ViT. */
const visionNames: Readonly<Record<VisionConfig["family"], VisionNames>> = {
  clip: { fixed: clipFixed, layer: (n) => `encoder.layers.${n}.`, inLayer: clipLayer },
  siglip: { fixed: clipFixed, layer: (n) => `encoder.layers.${n}.`, inLayer: clipLayer },
  vit: {
    fixed: {
      "patch.weight": "embeddings.patch_embeddings.projection.weight",
      "patch.bias": "embeddings.patch_embeddings.projection.bias",
      class: "embeddings.cls_token",
      position: "embeddings.position_embeddings",
      post_norm: "layernorm",
    },
    layer: (n) => `encoder.layer.${n}.`,
    inLayer: {
      norm1: "layernorm_before",
      norm2: "layernorm_after",
      q: "attention.attention.query",
      k: "attention.attention.key",
      v: "attention.attention.value",
      o: "attention.output.dense",
      fc1: "intermediate.dense",
      fc2: "output.dense",
    },
  },
};

/** The prefix under which a stand-alone tower's file, and a llava checkpoint's `vision_tower.`, hold the names. */
export const visionPrefix: Readonly<Record<VisionConfig["family"], string>> = {
  clip: "vision_model.",
  siglip: "vision_model.",
  vit: "vit.",
};

/** The file's name of one of our vision weights, without prefix: `layers.3.q.weight` → `encoder.layers.3.self_attn.q_proj.weight`. */
export function visionFileName(family: VisionConfig["family"], name: string): string {
  const { fixed, layer, inLayer } = visionNames[family];
  const inside = /^layers\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name);
  if (inside) return `${layer(Number(inside[1]))}${inLayer[inside[2]!]!}.${inside[3]!}`;
  if (fixed[name] !== undefined) return fixed[name];
  const dot = name.lastIndexOf(".");
  return `${fixed[name.slice(0, dot)]!}${name.slice(dot)}`;
}

/** A GGUF `llama` file's names of a layer's weights (below `blk.N.`). */
const ggufLayerNames: Readonly<Record<string, string>> = {
  "input_layernorm.weight": "attn_norm.weight",
  "self_attn.q_proj.weight": "attn_q.weight",
  "self_attn.k_proj.weight": "attn_k.weight",
  "self_attn.v_proj.weight": "attn_v.weight",
  "self_attn.q_proj.bias": "attn_q.bias",
  "self_attn.k_proj.bias": "attn_k.bias",
  "self_attn.v_proj.bias": "attn_v.bias",
  "self_attn.o_proj.weight": "attn_output.weight",
  "post_attention_layernorm.weight": "ffn_norm.weight",
  "mlp.gate_proj.weight": "ffn_gate.weight",
  "mlp.up_proj.weight": "ffn_up.weight",
  "mlp.down_proj.weight": "ffn_down.weight",
};

/** A GGUF `llama` file's name of one of our language weights. */
export function ggufName(name: string): string {
  const inside = /^model\.layers\.(\d+)\.(.+)$/.exec(name);
  if (inside) return `blk.${inside[1]!}.${ggufLayerNames[inside[2]!]!}`;
  return {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
  }[name]!;
}

/** The prefix of each part in a llava checkpoint (layout A). */
export const partPrefix = {
  vision: "vision_tower.",
  projector: "multi_modal_projector.",
  language: "language_model.",
} as const;
export type ModelPart = keyof typeof partPrefix;

/** A llava checkpoint's name (layout A) of one of our weights; `family` is the tower's. */
export function checkpointName(part: ModelPart, name: string, family: VisionConfig["family"]): string {
  const below = part === "vision" ? visionPrefix[family] + visionFileName(family, name) : name;
  return partPrefix[part] + below;
}

/** Names of layout B (`model.language_model.…`, `lm_head.weight`) and C (`vision_tower.embeddings…`) as layout A has them. */
export function canonicalLlavaName(name: string): string {
  if (name === "lm_head.weight") return "language_model.lm_head.weight";
  if (name.startsWith("model.language_model.")) {
    return `language_model.model.${name.slice("model.language_model.".length)}`;
  }
  const bare = name.startsWith("model.") ? name.slice("model.".length) : name;
  return bare.replace(
    /^vision_tower\.(embeddings|encoder|pre_layrnorm|post_layernorm|head)\b/,
    "vision_tower.vision_model.$1",
  );
}
