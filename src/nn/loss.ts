// Next-token cross-entropy, with its gradient formed directly so that no one-hot of [rows, V] exists.
import { gatherElements, log, max, softmax, subtract } from "../graph/build.ts";
import type { Value } from "../graph/graph.ts";

/**
 * −log softmax(logits)[label] per row, and the probabilities.
 * log Σ exp z = max z − log max p, since max p = exp(max z − log Σ exp z) ≥ 1/V never underflows:
 * softmax stays the only element-wise op over all logits.
 * @param logits_NV @param labels_N1 int32 or int64
 * @returns loss [N, 1] and probabilities [N, V]
 */
export function crossEntropy(logits_NV: Value, labels_N1: Value): { loss_N1: Value; probabilities_NV: Value } {
  const probabilities_NV = softmax(logits_NV);
  const logSumExp_N1 = subtract(max(logits_NV, [1]), log(max(probabilities_NV, [1])));
  return { loss_N1: subtract(logSumExp_N1, gatherElements(logits_NV, labels_N1, 1)), probabilities_NV };
}
