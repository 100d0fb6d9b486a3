// Linear layers with weights as Hugging Face stores them: [out, in]; and low-rank additions to them.
import { add, matMul, multiply, reshape, swapLast } from "../graph/build.ts";
import type { Value } from "../graph/graph.ts";
import { sizeOf } from "../graph/tensor.ts";

/** x·Wᵀ + b over the last axis: x […, in], weight [out, in], bias [out] → […, out]. */
export function linear(x: Value, weight: Value, bias?: Value): Value {
  const [rows, inner] = [sizeOf(x.shape.slice(0, -1)), x.shape.at(-1)!];
  // one product over all rows: batched products of the same matrix are slower
  const product = matMul(reshape(x, [rows, inner]), swapLast(weight));
  const y = bias === undefined ? product : add(product, bias);
  return reshape(y, [...x.shape.slice(0, -1), weight.shape[0]!]);
}

/** The two factors of a low-rank addition to a linear layer: A [rank, in], B [out, rank], and what their product is scaled by. */
export interface LowRank {
  readonly a: Value;
  readonly b: Value;
  readonly scale: number;
}

/** x·Wᵀ + b + s·(x·Aᵀ)·Bᵀ (LoRA, arXiv 2106.09685 §4.1); without factors the layer alone. */
export function adaptedLinear(x: Value, weight: Value, bias?: Value, factors?: LowRank): Value {
  const y = linear(x, weight, bias);
  // scaled where it is smallest: [rows, rank]
  return factors === undefined ? y : add(y, linear(multiply(linear(x, factors.a), factors.scale), factors.b));
}
