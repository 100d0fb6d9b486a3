// The decoder's training programs: one forward and one backward graph that all layers share.
// Shapes: B rows, T tokens a row, N = B·T, E hidden, K key/value heads, G groups, D head size.
import { gradients } from "../autodiff/backward.ts";
import { add, and, equal, greaterOrEqual, multiply, reshape, subtract, where } from "../graph/build.ts";
import { constant, extract, type Graph, graph, input, type Value } from "../graph/graph.ts";
import { tensor } from "../graph/tensor.ts";
import type { LanguageConfig } from "../models/config.ts";
import { decoderLayer, layerShapes, type LayerContext, type LayerValues } from "../models/llama.ts";
import { weightInputs } from "../models/lora-inputs.ts";
import { mergeHeads } from "../nn/attention.ts";
import { causalAttention, causalAttentionGradient } from "../nn/causal-attention.ts";
import type { PartForm } from "./parameters.ts";

/** The size of one micro-batch: B rows of T tokens. */
export interface RowShape {
  readonly rows: number;
  readonly length: number;
}

/** What a layer's forward pass keeps for its backward pass: what large products made; the rest is computed again. */
export const savedNames = ["q", "k", "v", "attended", "residual", "gate", "up"] as const;
export type SavedName = (typeof savedNames)[number];

/** Added to the scores of keys that a query must not see; finite, so that a row that sees nothing stays finite. */
const hidden = -1e30;

/**
 * The attention mask of packed rows: a token sees earlier tokens of its own document, itself included, but for those
 * that belong to another branch.
 * documents, branches, positions [B, T] int32 → mask [B, 1, 1, T, T] of 0 and a large negative number.
 * @param slidingWindow a token sees at most so many positions back (mistral)
 */
export function maskGraph({ rows, length }: RowShape, slidingWindow?: number): Graph {
  const documents = input("documents", "int32", [rows, length]);
  const branches = input("branches", "int32", [rows, length]);
  const positions = input("positions", "int32", [rows, length]);
  const query = (x: Value): Value => reshape(x, [rows, 1, 1, length, 1]);
  const key = (x: Value): Value => reshape(x, [rows, 1, 1, 1, length]);
  const causal = greaterOrEqual(query(positions), key(positions));
  const same = and(and(equal(query(documents), key(documents)), causal), sameBranch(query(branches), key(branches)));
  const seen =
    slidingWindow === undefined
      ? same
      : and(same, greaterOrEqual(key(positions), query(oldestSeen(positions, slidingWindow))));
  return graph("row mask", { mask: where(seen, 0, hidden) });
}

/** The key's branch is 0, for all to see, or the query's: a product that is 0 says either. */
function sameBranch(query: Value, key: Value): Value {
  return equal(multiply(key, subtract(key, query)), constant(tensor("int32", [], Int32Array.of(0))));
}

function oldestSeen(positions: Value, slidingWindow: number): Value {
  return subtract(positions, constant(tensor("int32", [], Int32Array.of(slidingWindow - 1))));
}

export interface LayerGraphs {
  readonly forward: Graph;
  /** gradients of the layer's input and of what is trained: its weights, or their adapters */
  readonly backward: Graph;
  /** the same, adding to the weight gradients of earlier micro-batches (inputs `sum.NAME`) */
  readonly accumulate: Graph;
  /** gradient of the layer's input alone, for a frozen language model */
  readonly through: Graph;
}

/**
 * Graphs of one decoder layer. Forward: x, cos, sin, mask, weights → saved values and y.
 * Backward: dy, x, saved values, cos, sin, mask, weights → dx and `grad.NAME`.
 * @param saved what the forward pass leaves; "attended" is always among it, the rest is computed again when it is not
 */
export function layerGraphs(
  c: LanguageConfig,
  { rows, length }: RowShape,
  form: PartForm,
  saved: readonly SavedName[] = savedNames,
): LayerGraphs {
  const weights = weightInputs(new Map(Object.entries(layerShapes(c))), form.lora);
  const trained = form.trains === "weights" ? weights.weights : weights.factors;
  const x = input("x", "float32", [rows * length, c.hiddenSize]);
  const angles = (name: string): Value => input(name, "float32", [rows, 1, 1, length, c.headSize / 2]);
  const context = { batch: rows, rotation: { cos: angles("cos"), sin: angles("sin") } };
  const mask = input("mask", "float32", [rows, 1, 1, length, length]);
  const build = (attend: NonNullable<LayerContext["attend"]>): LayerValues =>
    decoderLayer(x, weights.weight, c, { ...context, mask, attend, lowRank: weights.lowRank });
  const forward = build((q_BKGTD, k_BKTD, v_BKTD) => mergeHeads(causalAttention({ q_BKGTD, k_BKTD, v_BKTD, mask })));
  // what was saved of attention stands where attention was, so that its gradient can be taken by hand
  const layer = build(() => input("attended", "float32", forward.attended_NQ.shape));
  const [dx, ...parts] = layerGradients(layer, mask, [x, ...trained.values()]);
  const byName = [...trained.keys()].map((name, i) => [name, parts[i]!] as const);
  const cuts = new Map(Object.entries(savedOf(layer, saved)).map(([name, value]) => [value, name]));
  const summed = byName.map(([name, part]) => [`grad.${name}`, add(input(`sum.${name}`, "float32", part.shape), part)]);
  return {
    forward: graph("layer forward", { ...savedOf(forward, saved), y: forward.output_NE }),
    backward: extract(
      "layer backward",
      { dx: dx!, ...Object.fromEntries(byName.map(([name, part]) => [`grad.${name}`, part])) },
      cuts,
    ),
    accumulate: inPlace(extract("layer backward, accumulating", { dx: dx!, ...Object.fromEntries(summed) }, cuts)),
    through: extract("layer backward, frozen", { dx: dx! }, cuts),
  };
}

function savedOf(layer: LayerValues, names: readonly SavedName[]): Record<string, Value> {
  const all: Record<SavedName, Value> = {
    q: layer.q_BKGTD,
    k: layer.k_BKTD,
    v: layer.v_BKTD,
    attended: layer.attended_NQ,
    residual: layer.residual_NE,
    gate: layer.gate_NF,
    up: layer.up_NF,
  };
  return Object.fromEntries(names.map((name) => [name, all[name]]));
}

/** Gradients of a layer whose attention is a given value: down to it, through it by hand, and on from q, k and v. */
function layerGradients(layer: LayerValues, mask: Value, wrt: readonly Value[]): readonly (Value | undefined)[] {
  const { q_BKGTD, k_BKTD, v_BKTD, attended_NQ, output_NE } = layer;
  const dy = input("dy", "float32", output_NE.shape);
  const [dattended, ...above] = gradients(new Map([[output_NE, dy]]), [attended_NQ, ...wrt]);
  const operands = { q_BKGTD, k_BKTD, v_BKTD, mask };
  const { dq_BKGTD, dk_BKTD, dv_BKTD } = causalAttentionGradient(operands, attended_NQ, dattended!);
  const seeds = new Map([
    [q_BKGTD, dq_BKGTD],
    [k_BKTD, dk_BKTD],
    [v_BKTD, dv_BKTD],
  ]);
  const below = gradients(seeds, wrt);
  return wrt.map((_, i) => (above[i] && below[i] ? add(above[i], below[i]) : (above[i] ?? below[i])));
}

/** Sums are added to where they lie: `grad.NAME` may be the very buffer of `sum.NAME`. */
export function inPlace(graph: Graph): Graph {
  const sums = graph.inputs.filter(({ name }) => name.startsWith("sum."));
  return { ...graph, inPlace: Object.fromEntries(sums.map(({ name }) => [name.replace("sum.", "grad."), name])) };
}
