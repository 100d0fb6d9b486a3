// Linear layers with weights as Hugging Face stores them: [out, in].
import { add, matMul, reshape, swapLast } from "../graph/build.ts";
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
