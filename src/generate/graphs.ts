// The decoder's programs for answering: one layer over T new tokens and C cached ones, and the head for R of them.
// Shapes: T new tokens, C cache slots, R rows that want logits, E hidden, K key/value heads, D head size, V vocabulary.
import { matMul, reshape, rmsNorm, swapLast } from "../graph/build.ts";
import { type Graph, graph, input } from "../graph/graph.ts";
import type { LanguageConfig } from "../models/config.ts";
import { decoderLayer, layerShapes } from "../models/llama.ts";
import type { Lora } from "../models/lora.ts";
import { weightInputs } from "../models/lora-inputs.ts";

/**
 * One decoder layer, shared by all layers: its weights are inputs.
 * x [T, E], cos and sin [T, D/2], past_k and past_v [K, C, D], past_mask [T, C], mask [T, T] → y [T, E], k and v [K, T, D].
 * Only the new keys and values come out, so the cache is never copied.
 */
export function layerGraph(c: LanguageConfig, tokens: number, capacity: number, lora?: Lora): Graph {
  const weights = weightInputs(new Map(Object.entries(layerShapes(c))), lora);
  const angles = (name: string) => input(name, "float32", [1, 1, 1, tokens, c.headSize / 2]);
  const cached = (name: string) => input(name, "float32", [1, c.keyValueHeads, capacity, c.headSize]);
  const layer = decoderLayer(input("x", "float32", [tokens, c.hiddenSize]), weights.weight, c, {
    batch: 1,
    lowRank: weights.lowRank,
    rotation: { cos: angles("cos"), sin: angles("sin") },
    mask: input("mask", "float32", [1, 1, 1, tokens, tokens]),
    past: [
      {
        k_BKSD: cached("past_k"),
        v_BKSD: cached("past_v"),
        mask: input("past_mask", "float32", [1, 1, 1, tokens, capacity]),
      },
    ],
  });
  return graph(`layer, ${tokens} tokens on ${capacity}`, { y: layer.output_NE, k: layer.k_BKTD, v: layer.v_BKTD });
}

/** Final norm and output matrix: hidden [R, E], norm [E], output [V, E] → logits [R, V]. */
export function headGraph(c: LanguageConfig, rows: number): Graph {
  const hidden_RE = input("hidden", "float32", [rows, c.hiddenSize]);
  const output_VE = input("output", "float32", [c.vocabSize, c.hiddenSize]);
  const normed_RE = rmsNorm(hidden_RE, input("norm", "float32", [c.hiddenSize]), c.rmsNormEpsilon);
  return graph(`head, ${rows} rows`, { logits: reshape(matMul(normed_RE, swapLast(output_VE)), [rows, c.vocabSize]) });
}
