// Scaled dot-product attention with grouped key/value heads.
// Shapes: B batch, K key/value heads, G query heads per key/value head, T queries, S keys, D head size.
import { add, concat, matMul, multiply, reshape, softmax, split, swapLast, transpose } from "../graph/build.ts";
import type { Value } from "../graph/graph.ts";

/** [B·T, K·G·D] → [B, K, G, T, D]; with G = 1 the head axis of keys and values. */
export function splitHeads(x: Value, batch: number, heads: number, groups: number): Value {
  const [rows, width] = [x.shape[0]!, x.shape[1]!];
  const x_BTKGD = reshape(x, [batch, rows / batch, heads, groups, width / (heads * groups)]);
  return transpose(x_BTKGD, [0, 2, 3, 1, 4]);
}

/** [B, K, G, T, D] → [B·T, K·G·D]. */
export function mergeHeads(x_BKGTD: Value): Value {
  const [b, k, g, t, d] = x_BKGTD.shape as [number, number, number, number, number];
  return reshape(transpose(x_BKGTD, [0, 3, 1, 2, 4]), [b * t, k * g * d]);
}

/** One stretch of keys: values of the same length, and what is added to its scores (0 or a large negative number). */
export interface KeyBlock {
  readonly k_BKSD: Value;
  readonly v_BKSD: Value;
  /** broadcasts to [B, K, G, T, S]; absent = everything is seen */
  readonly mask?: Value;
}

/**
 * softmax(q·kᵀ/√D + mask)·v over the keys of all blocks together; several blocks (cached keys and new ones) are joined
 * at their scores, so that the cache is never copied.
 * @param q_BKGTD queries → @returns [B, K, G, T, D]
 */
export function attention(q_BKGTD: Value, blocks: readonly KeyBlock[]): Value {
  return weightedValues(attentionWeights(q_BKGTD, blocks), blocks);
}

/**
 * softmax(q·kᵀ/√D + mask) over the keys of all blocks: [B, K, G, T, D] → [B, K, G, T, all S].
 * The G queries that share a key head are folded into its rows, so that keys are never repeated.
 */
export function attentionWeights(q_BKGTD: Value, blocks: readonly KeyBlock[]): Value {
  const [b, k, g, t, d] = q_BKGTD.shape as [number, number, number, number, number];
  const q_BKRD = reshape(multiply(q_BKGTD, 1 / Math.sqrt(d)), [b, k, g * t, d]);
  const scores = blocks.map(({ k_BKSD, mask }) => {
    const s_BKGTS = reshape(matMul(q_BKRD, swapLast(k_BKSD)), [b, k, g, t, k_BKSD.shape[2]!]);
    return mask === undefined ? s_BKGTS : add(s_BKGTS, mask);
  });
  return softmax(concat(scores, 4));
}

/** The blocks' values, weighted: [B, K, G, T, all S] → [B, K, G, T, D]. */
export function weightedValues(p_BKGTS: Value, blocks: readonly KeyBlock[]): Value {
  const [b, k, g, t] = p_BKGTS.shape as [number, number, number, number];
  const lengths = blocks.map(({ k_BKSD }) => k_BKSD.shape[2]!);
  const parts = split(p_BKGTS, 4, lengths).map((p, i) =>
    matMul(reshape(p, [b, k, g * t, lengths[i]!]), blocks[i]!.v_BKSD),
  );
  return reshape(
    parts.reduce((total, part) => add(total, part)),
    [b, k, g, t, blocks[0]!.v_BKSD.shape[3]!],
  );
}
