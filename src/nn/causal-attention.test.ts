// Causal attention in blocks, and its gradient by hand, against plain attention and its gradient by rules.
import { expect, it } from "vitest";
import { evaluate } from "../../test/evaluate.ts";
import { distance, inputOf, numbers, randomTensor } from "../../test/tensors.ts";
import { gradients } from "../autodiff/backward.ts";
import { floats, type Tensor } from "../graph/tensor.ts";
import { attention, mergeHeads } from "./attention.ts";
import { causalAttention, causalAttentionGradient } from "./causal-attention.ts";

const [b, k, g, d] = [2, 2, 3, 4];

/** Two documents a row, cut at a third; no token sees a later one. */
function packedMask(t: number): Tensor {
  const cut = Math.floor(t / 3);
  const seen = (i: number, j: number): boolean => j <= i && i < cut === j < cut;
  const one = Array.from({ length: t * t }, (_, at) => (seen(Math.floor(at / t), at % t) ? 0 : -1e30));
  return floats([b, 1, 1, t, t], [...one, ...one]);
}

// one block, blocks of unequal lengths, and the most blocks
it.each([5, 131, 300])("equals plain attention over %i tokens, forward and backward", async (t) => {
  const feeds = {
    q: randomTensor("float32", [b, k, g, t, d], "q"),
    k: randomTensor("float32", [b, k, t, d], "k"),
    v: randomTensor("float32", [b, k, t, d], "v"),
    mask: packedMask(t),
    seed: randomTensor("float32", [b * t, k * g * d], "seed"),
  };
  const [q, key, v, mask, seed] = [
    inputOf("q", feeds.q),
    inputOf("k", feeds.k),
    inputOf("v", feeds.v),
    inputOf("mask", feeds.mask),
    inputOf("seed", feeds.seed),
  ];
  const operands = { q_BKGTD: q, k_BKTD: key, v_BKTD: v, mask };
  const made = mergeHeads(causalAttention(operands));
  const { dq_BKGTD, dk_BKTD, dv_BKTD } = causalAttentionGradient(operands, made, seed);
  const plain = mergeHeads(attention(q, [{ k_BKSD: key, v_BKSD: v, mask }]));
  const [wantQ, wantK, wantV] = gradients(new Map([[plain, seed]]), [q, key, v]);
  const got = await evaluate(
    { made, plain, dq_BKGTD, dk_BKTD, dv_BKTD, wantQ: wantQ!, wantK: wantK!, wantV: wantV! },
    feeds,
  );
  const pairs = [
    [got.made, got.plain],
    [got.dq_BKGTD, got.wantQ],
    [got.dk_BKTD, got.wantK],
    [got.dv_BKTD, got.wantV],
  ] as const;
  for (const [one, other] of pairs) {
    expect(one.shape).toEqual(other.shape);
    expect(distance(numbers(one), numbers(other))).toBeLessThan(5e-6);
  }
});
