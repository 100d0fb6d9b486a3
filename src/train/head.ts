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
  /** … → loss, dhidden, grad.norm, grad.output without the label rows, and what those rows are (`labelRows`) */
  readonly backward: Graph;
  /** the same, adding to the gradients of earlier micro-batches */
  readonly accumulate: Graph;
}

/**
 * Graphs over M rows of hidden states. `scale` [M, 1] is each row's weight in the loss: 1 / trained tokens, 0 for padding.
 * With p = softmax(logits): dlogits = scale·(p − onehot(label)), so dh = scale·p·W − scale·W[label] and
 * dW = (scale·p)ᵀ·h minus scale·h added at the label rows, which the caller scatters (`labelRows`): no [M, V] one-hot exists.
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
  const weighted_MV = multiply(probabilities_NV, scale_M1);
  const labelled_ME = reshape(gather(output_VE, labels_M1), [rows, c.hiddenSize]);
  const dnormed_ME = subtract(matMul(weighted_MV, output_VE), multiply(labelled_ME, scale_M1));
  const [dhidden, dnorm] = gradients(new Map([[normed_ME, dnormed_ME]]), [hidden_ME, norm_E]);
  const doutput = matMul(swapLast(weighted_MV), normed_ME);
  const labelRows = multiply(normed_ME, scale_M1);
  const base = { loss, dhidden: dhidden! };
  const sums = {
    "grad.norm": add(input("sum.norm", "float32", norm_E.shape), dnorm!),
    "grad.output": add(input("sum.output", "float32", output_VE.shape), doutput),
  };
  return {
    evaluate: graph("head loss", { loss }),
    through: graph("head, frozen", base),
    backward: graph("head", { ...base, "grad.norm": dnorm!, "grad.output": doutput, labelRows }),
    accumulate: inPlace(graph("head, accumulating", { ...base, ...sums, labelRows })),
  };
}
