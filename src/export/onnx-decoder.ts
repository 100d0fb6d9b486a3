// The decoder with its KV cache, and the embedding, as transformers.js runs them (src/models/session_config.js there).
// Shapes: B rows, S new tokens, T all tokens (cached ones first), E hidden, H query heads = K·G, D head size, V vocabulary.
import type { LanguageConfig } from "../models/config.ts";
import { embeddingName, finalNormName, headName, layerPrefix } from "../models/llama.ts";
import type { PartWeights } from "../models/weights.ts";
import { OnnxGraph } from "../graph/onnx-model.ts";
import { type Variant, WeightWriter } from "./onnx-weights.ts";

/** input_ids [B, S] → inputs_embeds [B, S, E] */
export function embeddingGraph(c: LanguageConfig, weights: PartWeights, variant: Variant): OnnxGraph {
  const graph = new OnnxGraph("embed_tokens");
  const ids = graph.input("input_ids", "int64", ["batch_size", "sequence_length"]);
  const table = new WeightWriter(graph, weights, variant).plain(embeddingName);
  graph.node("Gather", [table, ids], { output: "inputs_embeds" });
  graph.output("inputs_embeds", "float32", ["batch_size", "sequence_length", c.hiddenSize]);
  return graph;
}

/**
 * inputs_embeds [B, S, E], attention_mask [B, T], past_key_values.N.key and .value [B, K, T − S, D]
 * → logits [B, S, V], present.N.key and .value [B, K, T, D]. Positions count the mask's ones.
 */
export function decoderGraph(c: LanguageConfig, weights: PartWeights, variant: Variant): OnnxGraph {
  const graph = new OnnxGraph("decoder_model_merged");
  const writer = new WeightWriter(graph, weights, variant);
  let x_BSE = graph.input("inputs_embeds", "float32", ["batch_size", "sequence_length", c.hiddenSize]);
  const places = placesOf(graph, c, x_BSE);
  for (let layer = 0; layer < c.layers; layer++) x_BSE = decoderLayer(graph, writer, c, places, layer, x_BSE);
  const normed = rmsNorm(graph, writer, c, x_BSE, finalNormName);
  const logits = writer.linear(normed, headName(c));
  graph.node("Identity", [logits], { output: "logits" });
  graph.output("logits", "float32", ["batch_size", "sequence_length", c.vocabSize]);
  for (let layer = 0; layer < c.layers; layer++) {
    for (const kind of ["key", "value"]) {
      graph.output(`present.${layer}.${kind}`, "float32", cacheDims(c, "total_sequence_length"));
    }
  }
  return graph;
}

const cacheDims = (c: LanguageConfig, length: string): (number | string)[] => [
  "batch_size",
  c.keyValueHeads,
  length,
  c.headSize,
];

interface Places {
  /** [B, 1, S, D/2] */
  readonly cos: string;
  readonly sin: string;
  /** added to scores, [B, 1, 1, S, T] */
  readonly mask: string;
}

function placesOf(g: OnnxGraph, c: LanguageConfig, x_BSE: string): Places {
  const mask_BT = g.input("attention_mask", "int64", ["batch_size", "total_sequence_length"]);
  const length = (value: string): string => g.node("Shape", [value], { ints: { start: 1, end: 2 } });
  const [s, t] = [length(x_BSE), length(mask_BT)];
  const past = g.node("Sub", [t, s]);
  const counted = g.node("Sub", [g.node("CumSum", [mask_BT, g.int(1)]), g.ints([1])]);
  const positions_BT = g.node("Max", [counted, g.ints([0])]);
  const positions_BS = g.node("Slice", [positions_BT, past, t, g.ints([1])]);
  const frequencies = Array.from({ length: c.headSize / 2 }, (_, i) => c.ropeBase ** ((-2 * i) / c.headSize));
  const angles = g.node("Mul", [
    g.node("Unsqueeze", [g.node("Cast", [positions_BS], { ints: { to: 1 } }), g.ints([2])]),
    g.floats(frequencies, [1, 1, c.headSize / 2]),
  ]);
  const table = (type: string): string => g.node("Unsqueeze", [g.node(type, [angles]), g.ints([1])]);
  return { cos: table("Cos"), sin: table("Sin"), mask: maskOf(g, c, mask_BT, past, t) };
}

/** A query sees itself and what came before, within the window where there is one, and no padding. */
function maskOf(g: OnnxGraph, c: LanguageConfig, mask_BT: string, past: string, t: string): string {
  const scalar = (value: string): string => g.node("Squeeze", [value, g.ints([0])]);
  const [from, to, one] = [scalar(past), scalar(t), g.int(1)];
  const queries_S1 = g.node("Unsqueeze", [g.node("Range", [from, to, one]), g.ints([1])]);
  const keys_T = g.node("Range", [g.int(0), to, one]);
  let seen_ST = g.node("LessOrEqual", [keys_T, queries_S1]);
  if (c.slidingWindow !== undefined) {
    const edge_S1 = g.node("Sub", [queries_S1, g.ints([c.slidingWindow])]);
    seen_ST = g.node("And", [seen_ST, g.node("Greater", [keys_T, edge_S1])]);
  }
  const real_B111T = g.node("Unsqueeze", [g.node("Cast", [mask_BT], { ints: { to: 9 } }), g.ints([1, 2, 3])]);
  return g.node("Where", [g.node("And", [seen_ST, real_B111T]), g.floats([0]), g.floats([-1e9])]);
}

function rmsNorm(g: OnnxGraph, w: WeightWriter, c: LanguageConfig, x: string, name: string): string {
  const options = { ints: { axis: -1 }, floats: { epsilon: c.rmsNormEpsilon } };
  return g.node("SimplifiedLayerNormalization", [x, w.plain(name)], options);
}

function decoderLayer(
  g: OnnxGraph,
  w: WeightWriter,
  c: LanguageConfig,
  places: Places,
  layer: number,
  x: string,
): string {
  const prefix = layerPrefix(layer);
  const linear = (value: string, name: string, biased = false): string =>
    w.linear(value, `${prefix}${name}.weight`, biased ? `${prefix}${name}.bias` : undefined);
  const normed = rmsNorm(g, w, c, x, `${prefix}input_layernorm.weight`);
  const heads = (name: string, count: number): string => {
    const flat = linear(normed, `self_attn.${name}_proj`, c.queryKeyValueBias);
    const split = g.node("Reshape", [flat, g.ints([0, 0, count, c.headSize])]);
    return g.node("Transpose", [split], { ints: { perm: [0, 2, 1, 3] } });
  };
  const q_BHSD = rotated(g, heads("q", c.heads), places);
  const k_BKSD = rotated(g, heads("k", c.keyValueHeads), places);
  const attended = attention(g, c, places, {
    q_BHSD,
    k_BKTD: joined(g, c, layer, "key", k_BKSD),
    v_BKTD: joined(g, c, layer, "value", heads("v", c.keyValueHeads)),
  });
  const residual = g.node("Add", [x, linear(attended, "self_attn.o_proj")]);
  const inner = rmsNorm(g, w, c, residual, `${prefix}post_attention_layernorm.weight`);
  const gate = linear(inner, "mlp.gate_proj");
  const silu = g.node("Mul", [gate, g.node("Sigmoid", [gate])]);
  const product = g.node("Mul", [silu, linear(inner, "mlp.up_proj")]);
  return g.node("Add", [residual, linear(product, "mlp.down_proj")]);
}

/** The two halves of each head turned by the position's angles (arXiv 2104.09864, as in Hugging Face). */
function rotated(g: OnnxGraph, x: string, { cos, sin }: Places): string {
  const [a, b] = g.nodes("Split", [x], { ints: { axis: -1, num_outputs: 2 }, outputs: 2 }) as [string, string];
  const mul = (p: string, q: string): string => g.node("Mul", [p, q]);
  const left = g.node("Sub", [mul(a, cos), mul(b, sin)]);
  const right = g.node("Add", [mul(b, cos), mul(a, sin)]);
  return g.node("Concat", [left, right], { ints: { axis: -1 } });
}

/** The cache's rows with the new ones behind them: an output, for the next run's cache. */
function joined(g: OnnxGraph, c: LanguageConfig, layer: number, kind: string, fresh: string): string {
  const past = g.input(`past_key_values.${layer}.${kind}`, "float32", cacheDims(c, "past_sequence_length"));
  return g.node("Concat", [past, fresh], { ints: { axis: 2 }, output: `present.${layer}.${kind}` });
}

interface Heads {
  readonly q_BHSD: string;
  readonly k_BKTD: string;
  readonly v_BKTD: string;
}

/** Softmax(q·kᵀ/√D + mask)·v for groups of queries that share a key head → [B, S, H·D]. */
function attention(g: OnnxGraph, c: LanguageConfig, { mask }: Places, { q_BHSD, k_BKTD, v_BKTD }: Heads): string {
  const groups = c.heads / c.keyValueHeads;
  const q_BKGSD = g.node("Reshape", [q_BHSD, g.ints([0, c.keyValueHeads, groups, -1, c.headSize])]);
  const scaled = g.node("Mul", [q_BKGSD, g.floats([1 / Math.sqrt(c.headSize)])]);
  const shared = (value: string): string => g.node("Unsqueeze", [value, g.ints([2])]);
  const k_BK1DT = g.node("Transpose", [shared(k_BKTD)], { ints: { perm: [0, 1, 2, 4, 3] } });
  const scores = g.node("Add", [g.node("MatMul", [scaled, k_BK1DT]), mask]);
  const p_BKGST = g.node("Softmax", [scores], { ints: { axis: -1 } });
  const out_BKGSD = g.node("MatMul", [p_BKGST, shared(v_BKTD)]);
  const rows = g.node("Transpose", [out_BKGSD], { ints: { perm: [0, 3, 1, 2, 4] } });
  return g.node("Reshape", [rows, g.ints([0, 0, c.heads * c.headSize])]);
}
