// Activations against float64 values of transformers' ACT2FN, their gradients against differences.
import { expect, it } from "vitest";
import { directionError } from "../../test/direction.ts";
import { evaluate } from "../../test/evaluate.ts";
import { distance, inputOf, numbers, randomTensor } from "../../test/tensors.ts";
import { floats } from "../graph/tensor.ts";
import { type ActivationName, activations } from "./activation.ts";

const points = [-1e4, -20, -4, -1, -0.1, 0, 0.5, 2, 4, 20, 1e4];
const tanhGelu = [0, 0, -7.02459482e-5, -0.158808009, -0.0460172496, 0, 0.34571401, 1.95459769, 3.99992975, 20, 1e4];

/** Made with transformers 5.23 and torch 2.13 in float64. */
const golden: Readonly<Record<ActivationName, readonly number[]>> = {
  silu: [
    0, -4.12230724e-8, -0.0719448398, -0.268941421, -0.0475020819, 0, 0.311229666, 1.76159416, 3.92805516, 20, 1e4,
  ],
  gelu: [0, 0, -0.000126684967, -0.158655254, -0.0460172169, 0, 0.345731231, 1.95449974, 3.99987332, 20, 1e4],
  gelu_pytorch_tanh: tanhGelu,
  gelu_new: tanhGelu,
  quick_gelu: [0, 0, -0.00441472414, -0.154204234, -0.0457552425, 0, 0.350388437, 1.93565862, 3.99558528, 20, 1e4],
};

it.each(Object.keys(activations) as ActivationName[])("%s", async (name) => {
  const x = floats([points.length], points);
  const { y } = await evaluate({ y: activations[name](inputOf("x", x)) }, { x });
  // 1 + erf or 1 + tanh cancels near −4, which leaves 4 · 6e-8
  expect(distance(numbers(y), golden[name])).toBeLessThan(5e-7);
  const at = { x: randomTensor("float32", [4, 5], name, { low: -3, high: 3 }) };
  expect(await directionError(({ x }) => activations[name](x!), at, 1)).toBeLessThan(1e-5);
});
