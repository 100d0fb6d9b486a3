import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate } from "../../test/evaluate.ts";
import { tinyConfig } from "../../test/tiny-model.ts";
import { distance, indicesOf, inputOf, numbers, randomTensor, reader } from "../../test/tensors.ts";
import { floats } from "../graph/tensor.ts";
import { activations } from "../nn/activation.ts";
import { pixelShuffle, project, projectorShapes } from "./projector.ts";

describe("pixelShuffle", () => {
  it("puts r × r neighbours side by side, in reading order", async () => {
    const sizes = fc.record({
      b: fc.integer({ min: 1, max: 2 }),
      r: fc.integer({ min: 1, max: 3 }),
      tokens: fc.integer({ min: 1, max: 3 }),
      e: fc.integer({ min: 1, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(sizes, async ({ b, r, tokens, e }) => {
        const side = r * tokens;
        const x = randomTensor("float32", [b, side * side, e], "patches");
        const at = reader(x);
        const { y } = await evaluate({ y: pixelShuffle(inputOf("x", x), r) }, { x });
        const expected = indicesOf([b, tokens, tokens, r, r, e]).map(([n, i, j, row, column, k]) => {
          const patch = (i! * r + row!) * side + (j! * r + column!);
          return at([n!, patch, k!]);
        });
        expect(y.shape).toEqual([b, tokens * tokens, r * r * e]);
        expect(numbers(y)).toEqual(expected);
      }),
      { numRuns: 25 },
    );
  });
});

describe("project", () => {
  it("is W₂·gelu(W₁x + b₁) + b₂, or one of these layers alone, with biases or without", async () => {
    for (const [kind, bias] of [
      ["mlp2x_gelu", true],
      ["mlp2x_gelu", false],
      ["linear", true],
      ["linear", false],
    ] as const) {
      const config = tinyConfig({ multimodal_projector_bias: bias, llava_ts: { projector: kind } });
      const shapes = projectorShapes(config);
      expect([...shapes.keys()].filter((name) => name.endsWith("bias"))).toHaveLength(bias ? shapes.size / 2 : 0);
      const x = randomTensor("float32", [3, 16], "x");
      const weights = new Map(
        [...shapes].map(([name, shape]) => [name, randomTensor("float32", shape, name, { low: -1, high: 1 })]),
      );
      const y = project(inputOf("x", x), (name) => inputOf(name, weights.get(name)!), config);
      const got = await evaluate({ y }, { x, ...Object.fromEntries(weights) });
      const layer = (input: number[], name: string): number[] => {
        const [w, b] = [numbers(weights.get(`${name}.weight`)!), weights.get(`${name}.bias`)];
        const width = shapes.get(`${name}.weight`)![1]!;
        return indicesOf([input.length / width, w.length / width]).map(([n, out]) => {
          let sum = b === undefined ? 0 : numbers(b)[out!]!;
          for (let k = 0; k < width; k++) sum += w[out! * width + k]! * input[n! * width + k]!;
          return sum;
        });
      };
      const first = layer(numbers(x), "linear_1");
      const expected = kind === "linear" ? first : layer(await gelu(first), "linear_2");
      expect(distance(numbers(got.y), expected)).toBeLessThan(2e-6);
    }
  });
});

async function gelu(values: number[]): Promise<number[]> {
  const x = floats([values.length], values);
  return numbers((await evaluate({ y: activations.gelu(inputOf("x", x)) }, { x })).y);
}
