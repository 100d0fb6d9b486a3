// The head's training program: final norm, logits, loss and their gradients, only for rows that are trained.
// Shapes: M trained rows, E hidden, V vocabulary.
import { gradients } from "../autodiff/backward.ts";
import { add, gather, matMul, multiply, reshape, rmsNorm, subtract, swapLast } from "../graph/build.ts";
import { type Graph, graph, input } from "../graph/graph.ts";
import type { LanguageConfig } from "../models/config.ts";
import { crossEntropy } from "../nn/loss.ts";
import { inPlace } from "./decoder.ts";

export interface HeadGraphs {
  /** hidden, norm, output, labels → loss [M, 1] */
  readonly evaluate: Graph;
  /** … and scale → loss, dhidden */
  readonly through: Graph;
  /**
   * … and sum.norm, sum.output → loss, dhidden, grad.norm, grad.output without the label rows, and what those rows are
   * (`labelRows`). It always adds to the gradients: a second program that need not would hold logits of its own.
   */
  readonly backward: Graph;
}

/**
 * Graphs over M rows of hidden states. `scale` [M, 1] is each row's weight in the loss: 1 / trained tokens, 0 for padding.
 * With p = softmax(logits): dlogits = scale·(p − onehot(label)), so dh = scale·(p·W − W[label]) and
 * dW = pᵀ·(scale·h) minus scale·h added at the label rows, which the caller scatters (`labelRows`): beside logits and p
 * nothing of [M, V] exists.
 */
export function headGraphs(c: LanguageConfig, rows: number): HeadGraphs {
  const hidden_ME = input("hidden", "float32", [rows, c.hiddenSize]);
  const norm_E = input("norm", "float32", [c.hiddenSize]);
  const output_VE = input("output", "float32", [c.vocabSize, c.hiddenSize]);
  const labels_M1 = input("labels", "int32", [rows, 1]);
  const scale_M1 = input("scale", "float32", [rows, 1]);

  const normed_ME = rmsNorm(hidden_ME, norm_E, c.rmsNormEpsilon);
  const logits_MV = matMul(normed_ME, swapLast(output_VE));
  const { loss_N1: loss, probabilities_NV } = crossEntropy(logits_MV, labels_M1);
  const labelled_ME = reshape(gather(output_VE, labels_M1), [rows, c.hiddenSize]);
  const dnormed_ME = multiply(subtract(matMul(probabilities_NV, output_VE), labelled_ME), scale_M1);
  const [dhidden, dnorm] = gradients(new Map([[normed_ME, dnormed_ME]]), [hidden_ME, norm_E]);
  const labelRows = multiply(normed_ME, scale_M1);
  const doutput = matMul(swapLast(probabilities_NV), labelRows);
  const base = { loss, dhidden: dhidden! };
  const sums = {
    "grad.norm": add(input("sum.norm", "float32", norm_E.shape), dnorm!),
    "grad.output": add(input("sum.output", "float32", output_VE.shape), doutput),
  };
  return {
    evaluate: graph("head loss", { loss }),
    through: graph("head, frozen", base),
    backward: inPlace(graph("head", { ...base, ...sums, labelRows })),
  };
}
