// Activations by the names that Hugging Face configs use.
import { add, erf, multiply, sigmoid, silu, tanh } from "../graph/build.ts";
import type { Value } from "../graph/graph.ts";

/** x·Φ(x), exact by erf (arXiv 1606.08415). */
export const gelu = (x: Value): Value => multiply(multiply(x, 0.5), add(erf(multiply(x, Math.SQRT1_2)), 1));

/** GELU's tanh approximation: ½x(1 + tanh(√(2/π)(x + 0.044715x³))). */
export function geluTanh(x: Value): Value {
  const cubic = multiply(multiply(multiply(x, x), x), 0.044715);
  return multiply(multiply(x, 0.5), add(tanh(multiply(add(x, cubic), Math.sqrt(2 / Math.PI))), 1));
}

/** x·σ(1.702x), CLIP's activation. */
export const quickGelu = (x: Value): Value => multiply(x, sigmoid(multiply(x, 1.702)));

export const activations = {
  silu,
  gelu,
  gelu_pytorch_tanh: geluTanh,
  gelu_new: geluTanh,
  quick_gelu: quickGelu,
} as const;
export type ActivationName = keyof typeof activations;
