// The LLaMA decoder (arXiv 2302.13971): grouped-query attention, rotary positions, RMSNorm, SwiGLU.
// Shapes: N = B·T rows, E hidden, H query heads = K·G, K key/value heads, D head size, F intermediate, V vocabulary.
import { add, multiply, reshape, rmsNorm, silu } from "../graph/build.ts";
import type { Value } from "../graph/graph.ts";
import type { Shape } from "../graph/tensor.ts";
import { attention, type KeyBlock, mergeHeads, splitHeads } from "../nn/attention.ts";
import { adaptedLinear, type LowRank } from "../nn/linear.ts";
import { rotate, type Rotation } from "../nn/rope.ts";
import type { LanguageConfig } from "./config.ts";

/** Finds a weight by its name inside its layer or model. */
export type Weights = (name: string) => Value;

/** Weights of one layer, by the names Hugging Face gives them below `model.layers.N.`. */
export function layerShapes(c: LanguageConfig): Readonly<Record<string, Shape>> {
  const [q, kv] = [c.heads * c.headSize, c.keyValueHeads * c.headSize];
  return {
    "input_layernorm.weight": [c.hiddenSize],
    "self_attn.q_proj.weight": [q, c.hiddenSize],
    "self_attn.k_proj.weight": [kv, c.hiddenSize],
    "self_attn.v_proj.weight": [kv, c.hiddenSize],
    ...(c.queryKeyValueBias
      ? { "self_attn.q_proj.bias": [q], "self_attn.k_proj.bias": [kv], "self_attn.v_proj.bias": [kv] }
      : {}),
    "self_attn.o_proj.weight": [c.hiddenSize, q],
    "post_attention_layernorm.weight": [c.hiddenSize],
    "mlp.gate_proj.weight": [c.intermediateSize, c.hiddenSize],
    "mlp.up_proj.weight": [c.intermediateSize, c.hiddenSize],
    "mlp.down_proj.weight": [c.hiddenSize, c.intermediateSize],
  };
}

export const layerPrefix = (layer: number): string => `model.layers.${layer}.`;
export const embeddingName = "model.embed_tokens.weight";
export const finalNormName = "model.norm.weight";
/** The output matrix [V, E]: the embedding itself when they are tied. */
export const headName = (c: LanguageConfig): string => (c.tied ? embeddingName : "lm_head.weight");

/** Every weight of the decoder with its shape. */
export function languageShapes(c: LanguageConfig): Map<string, Shape> {
  const shapes = new Map<string, Shape>([[embeddingName, [c.vocabSize, c.hiddenSize]]]);
  for (let layer = 0; layer < c.layers; layer++) {
    for (const [name, shape] of Object.entries(layerShapes(c))) shapes.set(layerPrefix(layer) + name, shape);
  }
  shapes.set(finalNormName, [c.hiddenSize]);
  if (!c.tied) shapes.set("lm_head.weight", [c.vocabSize, c.hiddenSize]);
  return shapes;
}

export interface LayerContext {
  readonly batch: number;
  /** cos, sin that broadcast to [B, K, G, T, D/2] */
  readonly rotation: Rotation;
  /** added to the scores of this row's own keys, [B, 1, 1, T, T] */
  readonly mask: Value;
  /** keys and values of earlier positions (a KV cache) */
  readonly past?: readonly KeyBlock[];
  /** stands in for attention over `past` and the row's own keys: q, k, v → [N, H·D] */
  readonly attend?: (q_BKGTD: Value, k_BKTD: Value, v_BKTD: Value) => Value;
  /** low-rank additions by the linear layer's name: `self_attn.q_proj` */
  readonly lowRank?: (name: string) => LowRank | undefined;
}

/** What a layer computes: its output, and what its large products made (worth keeping for the backward pass). */
export interface LayerValues {
  readonly q_BKGTD: Value;
  readonly k_BKTD: Value;
  readonly v_BKTD: Value;
  readonly attended_NQ: Value;
  readonly residual_NE: Value;
  readonly gate_NF: Value;
  readonly up_NF: Value;
  readonly output_NE: Value;
}

/** One decoder layer: x [N, E] → output [N, E]. */
export function decoderLayer(x_NE: Value, w: Weights, c: LanguageConfig, context: LayerContext): LayerValues {
  const { batch, rotation, mask } = context;
  const groups = c.heads / c.keyValueHeads;
  const bias = (name: string): Value | undefined =>
    c.queryKeyValueBias ? w(`self_attn.${name}_proj.bias`) : undefined;
  const apply = (name: string, x: Value, b?: Value): Value =>
    adaptedLinear(x, w(`${name}.weight`), b, context.lowRank?.(name));
  const project = (name: string, x: Value): Value => apply(`self_attn.${name}_proj`, x, bias(name));

  const normed_NE = rmsNorm(x_NE, w("input_layernorm.weight"), c.rmsNormEpsilon);
  const q_BKGTD = rotate(splitHeads(project("q", normed_NE), batch, c.keyValueHeads, groups), rotation);
  const k_BKTD = withoutGroups(rotate(splitHeads(project("k", normed_NE), batch, c.keyValueHeads, 1), rotation));
  const v_BKTD = withoutGroups(splitHeads(project("v", normed_NE), batch, c.keyValueHeads, 1));
  const attended_NQ =
    context.attend?.(q_BKGTD, k_BKTD, v_BKTD) ??
    mergeHeads(attention(q_BKGTD, [...(context.past ?? []), { k_BKSD: k_BKTD, v_BKSD: v_BKTD, mask }]));
  const residual_NE = add(x_NE, apply("self_attn.o_proj", attended_NQ));

  const normed2_NE = rmsNorm(residual_NE, w("post_attention_layernorm.weight"), c.rmsNormEpsilon);
  const gate_NF = apply("mlp.gate_proj", normed2_NE);
  const up_NF = apply("mlp.up_proj", normed2_NE);
  const output_NE = add(residual_NE, apply("mlp.down_proj", multiply(silu(gate_NF), up_NF)));
  return { q_BKGTD, k_BKTD, v_BKTD, attended_NQ, residual_NE, gate_NF, up_NF, output_NE };
}

function withoutGroups(x_BK1TD: Value): Value {
  const [b, k, , t, d] = x_BK1TD.shape as [number, number, number, number, number];
  return reshape(x_BK1TD, [b, k, t, d]);
}
