// The whole language model over new tokens as one graph, its matrices in blocks of 4 or 8 bits.
// Shapes: T new tokens, C cache slots, P of them read, R rows that want logits, E hidden, H query heads, K key/value heads, D head size.
import type { Bits } from "../formats/nbits.ts";
import { OnnxGraph } from "../graph/onnx-model.ts";
import type { LanguageConfig } from "../models/config.ts";
import { finalNormName, headName, layerPrefix } from "../models/llama.ts";
import type { PartWeights } from "../models/weights.ts";
import { BlockWeights } from "./block-weights.ts";
import { largestChunk } from "./chunk-sizes.ts";

const microsoft = "com.microsoft";

/** How many bits the layers' matrices and the output matrix have. */
export interface BlockForm {
  readonly layers: Bits;
  readonly head: Bits;
}

/** The same by the names that users give. */
export const blockForms = {
  int8: { layers: 8, head: 8 },
  // the output matrix decides between near-equal words: 8 bits cost it little time
  int4: { layers: 4, head: 8 },
} as const satisfies Record<string, BlockForm>;

/** Slots behind the cache's own: a run leaves new keys and values behind those it reads, which may be all. */
export const scratchSlots = largestChunk;

/**
 * x [1, T, E], cos and sin [C + scratch, D/2] (of all positions), positions [1, T], bias [1, 1, T, P + T] (who sees whom), keys [1]
 * (P + T − 1), all_keys [1] (P + T), wanted [R], past_k.N and past_v.N [1, K, C + scratch, D] → logits [R, V], and
 * present_k.N and present_v.N, which are the past ones with the new tokens behind the first P slots.
 * Few nodes and no copies count here: q, k and v are one product, gate and up another.
 */
export function blockGraph(
  c: LanguageConfig,
  weights: PartWeights,
  form: BlockForm,
  onLoad?: (name: string) => void,
): OnnxGraph {
  const g = new OnnxGraph("language model in blocks", { leadingSequence: true });
  const w = new BlockWeights(g, weights, onLoad);
  const x = g.input("x", "float32", [1, "T", c.hiddenSize]);
  const half = c.headSize / 2;
  const shared: Shared = {
    keys: g.input("keys", "int32", [1]),
    allKeys: g.input("all_keys", "int32", [1]),
    cos: g.input("cos", "float32", ["B", half]),
    sin: g.input("sin", "float32", ["B", half]),
    positions: g.input("positions", "int64", [1, "T"]),
    bias: g.input("bias", "float32", [1, 1, "T", "S"]),
  };
  const wanted = g.input("wanted", "int64", ["R"]);
  let stream: Stream = { residual: x, added: undefined };
  for (let layer = 0; layer < c.layers; layer++) stream = layerOf({ g, w, c, form, shared }, layer, stream);
  const [normed] = normalised(g, w, c, stream, finalNormName);
  const rows = g.node("Gather", [normed, wanted], { ints: { axis: 1 } });
  const logits = w.linear(rows, [headName(c)], form.head);
  g.node("Reshape", [logits, g.ints([-1, c.vocabSize])], { output: "logits" });
  g.output("logits", "float32", ["R", c.vocabSize]);
  const dims = [1, c.keyValueHeads, "B", c.headSize];
  for (const part of cacheParts(c)) g.output(`present_${part}`, "float32", dims);
  return g;
}

/** What a run may write where it reads: the cache. */
export function cacheInPlace(c: LanguageConfig): Record<string, string> {
  return Object.fromEntries(cacheParts(c).map((part) => [`present_${part}`, `past_${part}`]));
}

/** The cache's parts in the order in which they lie: each layer's keys, then its values. */
export function cacheParts(c: LanguageConfig): string[] {
  return Array.from({ length: c.layers }, (_, layer) => [`k.${layer}`, `v.${layer}`]).flat();
}

/** Inputs that all layers read. */
interface Shared {
  readonly keys: string;
  readonly allKeys: string;
  readonly cos: string;
  readonly sin: string;
  readonly positions: string;
  readonly bias: string;
}

/** What flows from layer to layer: the sum so far, and what is still to be added to it. */
interface Stream {
  readonly residual: string;
  readonly added: string | undefined;
}

interface LayerContext {
  readonly g: OnnxGraph;
  readonly w: BlockWeights;
  readonly c: LanguageConfig;
  readonly form: BlockForm;
  readonly shared: Shared;
}

/** RMSNorm of the sum of a stream, and that sum. */
function normalised(g: OnnxGraph, w: BlockWeights, c: LanguageConfig, stream: Stream, name: string): [string, string] {
  const floats = { epsilon: c.rmsNormEpsilon };
  const { residual, added } = stream;
  if (added === undefined) {
    return [
      g.node("SimplifiedLayerNormalization", [residual, w.vector(name)], { ints: { axis: -1 }, floats }),
      residual,
    ];
  }
  const options = { domain: microsoft, floats, outputs: 4, unread: [1, 2] };
  const made = g.nodes("SkipSimplifiedLayerNormalization", [residual, added, w.vector(name)], options);
  return [made[0]!, made[3]!];
}

function layerOf(context: LayerContext, layer: number, stream: Stream): Stream {
  const { g, w, c, form } = context;
  const name = (rest: string): string => layerPrefix(layer) + rest;
  const [normed, residual] = normalised(g, w, c, stream, name("input_layernorm.weight"));
  const projections = ["q", "k", "v"].map((each) => name(`self_attn.${each}_proj`));
  const biases = c.queryKeyValueBias ? projections.map((each) => `${each}.bias`) : [];
  const joint = projections.map((each) => `${each}.weight`);
  const attended = attention(context, layer, w.linear(normed, joint, form.layers, biases));
  const output = w.linear(attended, [name("self_attn.o_proj.weight")], form.layers);

  const after = { residual, added: output };
  const [inner, sum] = normalised(g, w, c, after, name("post_attention_layernorm.weight"));
  const both = w.linear(inner, [name("mlp.gate_proj.weight"), name("mlp.up_proj.weight")], form.layers);
  const [gate, up] = g.nodes("Split", [both], { ints: { axis: -1, num_outputs: 2 }, outputs: 2 }) as [string, string];
  // x · sigmoid(1 · x)
  const silu = g.node("QuickGelu", [gate], { domain: microsoft, floats: { alpha: 1 } });
  return { residual: sum, added: w.linear(g.node("Mul", [silu, up]), [name("mlp.down_proj.weight")], form.layers) };
}

/** q, k and v in one row a token → what was attended to, [1, T, H·D]; new keys and values go into the cache. */
function attention({ g, c, shared }: LayerContext, layer: number, joint: string): string {
  const border = (name: string): string => g.input(name, "float32", [1, c.keyValueHeads, "B", c.headSize]);
  const { keys, allKeys, cos, sin, positions, bias } = shared;
  const past = [border(`past_k.${layer}`), border(`past_v.${layer}`)];
  const [attended] = g.nodes(
    "GroupQueryAttention",
    [joint, "", "", ...past, keys, allKeys, cos, sin, positions, bias],
    {
      domain: microsoft,
      ints: { num_heads: c.heads, kv_num_heads: c.keyValueHeads, do_rotary: 1 },
      floats: { scale: 1 / Math.sqrt(c.headSize) },
      outputs: 3,
      names: [undefined, `present_k.${layer}`, `present_v.${layer}`],
    },
  );
  return attended!;
}
