// Attention over a row's own tokens, for training: blocks of queries skip the keys behind them; its gradient by hand.
// Shapes: B batch, K key/value heads, G query heads per key/value head, T tokens, D head size; a block has I queries, S keys.
import {
  add,
  concat,
  expand,
  matMul,
  multiply,
  negate,
  pad,
  reshape,
  slice,
  softmax,
  sum,
  swapLast,
} from "../graph/build.ts";
import { constant, type Value } from "../graph/graph.ts";
import { floats, sizeOf } from "../graph/tensor.ts";
import { attention, splitHeads } from "./attention.ts";

/** What attention is computed from. No token may see a later one: `mask` hides more, never less. */
export interface CausalOperands {
  readonly q_BKGTD: Value;
  readonly k_BKTD: Value;
  readonly v_BKTD: Value;
  /** added to the scores, [B, 1, 1, T, T] */
  readonly mask: Value;
}

/** Queries of a block: fewer make small products, more leave more of the scores' upper triangle in. */
const blockLength = 64;
const mostBlocks = 4;

/** Where each block of queries starts and ends; it sees the keys up to its end. */
function blocks(length: number): readonly (readonly [number, number])[] {
  const count = Math.min(mostBlocks, Math.ceil(length / blockLength));
  const bound = (i: number): number => Math.round((i * length) / count);
  return Array.from({ length: count }, (_, i) => [bound(i), bound(i + 1)] as const);
}

const block = ({ q_BKGTD, k_BKTD, v_BKTD, mask }: CausalOperands, [start, end]: readonly [number, number]) => ({
  q_BKGID: slice(q_BKGTD, 3, start, end),
  k_BKSD: slice(k_BKTD, 2, 0, end),
  v_BKSD: slice(v_BKTD, 2, 0, end),
  mask: slice(slice(mask, 3, start, end), 4, 0, end),
});

/** softmax(q·kᵀ/√D + mask)·v → [B, K, G, T, D]. */
export function causalAttention(operands: CausalOperands): Value {
  const parts = blocks(operands.q_BKGTD.shape[3]!).map((bounds) => {
    const { q_BKGID, ...keys } = block(operands, bounds);
    return attention(q_BKGID, [keys]);
  });
  return concat(parts, 3);
}

export interface CausalGradients {
  readonly dq_BKGTD: Value;
  readonly dk_BKTD: Value;
  readonly dv_BKTD: Value;
}

/**
 * Gradients of `causalAttention`, whose output was `attended` (both as merged heads [N, K·G·D]).
 * With P the probabilities and O the output, dS = P ⊙ (dO·Vᵀ − δ) and δ = Σ_D dO ⊙ O, the row sum that softmax's
 * gradient needs (arXiv 2205.14135, appendix B.4). δ enters the product as one more column: [dO, −δ]·[V, 1]ᵀ.
 */
export function causalAttentionGradient(operands: CausalOperands, attended: Value, dattended: Value): CausalGradients {
  const { q_BKGTD, v_BKTD } = operands;
  const [b, k, g, t, d] = q_BKGTD.shape as [number, number, number, number, number];
  const products = reshape(multiply(attended, dattended), [b * t, k * g, d]);
  const delta_BKGT1 = splitHeads(reshape(sum(products, [2]), [b * t, k * g]), b, k, g);
  const dO_BKGTD1 = concat([splitHeads(dattended, b, k, g), negate(delta_BKGT1)], 4);
  const one = expand(constant(floats([], [1])), [b, k, t, 1]);
  const v_BKTD1 = concat([v_BKTD, one], 3);
  const parts = blocks(t).map((bounds) => {
    const [start, end] = bounds;
    const rows = (x: Value): Value => reshape(x, [b, k, sizeOf(x.shape) / (b * k * x.shape.at(-1)!), x.shape.at(-1)!]);
    const { q_BKGID, k_BKSD, mask } = block(operands, bounds);
    const q_BKRD = rows(multiply(q_BKGID, 1 / Math.sqrt(d)));
    const scores = reshape(matMul(q_BKRD, swapLast(k_BKSD)), [b, k, g, end - start, end]);
    const p_BKRS = rows(softmax(add(scores, mask)));
    const dO_BKRD1 = rows(slice(dO_BKGTD1, 3, start, end));
    const centred = matMul(dO_BKRD1, swapLast(slice(v_BKTD1, 2, 0, end)));
    const dS_BKRS = multiply(p_BKRS, centred);
    const dq = multiply(matMul(dS_BKRS, k_BKSD), 1 / Math.sqrt(d));
    return {
      dq: reshape(dq, [b, k, g, end - start, d]),
      dk: pad(matMul(swapLast(dS_BKRS), q_BKRD), 2, 0, t - end),
      dv: pad(matMul(swapLast(p_BKRS), slice(dO_BKRD1, 3, 0, d)), 2, 0, t - end),
    };
  });
  const total = (values: readonly Value[]): Value => values.reduce((all, part) => add(all, part));
  return {
    dq_BKGTD: concat(
      parts.map(({ dq }) => dq),
      3,
    ),
    dk_BKTD: total(parts.map(({ dk }) => dk)),
    dv_BKTD: total(parts.map(({ dv }) => dv)),
  };
}
