// Linear layers of any leading axes against sums written out, and their gradients.
import fc from "fast-check";
import { expect, it } from "vitest";
import { directionError } from "../../test/direction.ts";
import { evaluate } from "../../test/evaluate.ts";
import { distance, indicesOf, inputOf, numbers, randomTensor, reader } from "../../test/tensors.ts";
import { input, type Value } from "../graph/graph.ts";
import { linear } from "./linear.ts";

const small = fc.integer({ min: 1, max: 5 });
const shapes = fc.record({ lead: fc.array(small, { maxLength: 3 }), inner: small, outer: small, biased: fc.boolean() });

it("is x·Wᵀ + b over the last axis, forward and backward", async () => {
  const property = fc.asyncProperty(shapes, async ({ lead, inner, outer, biased }) => {
    const x = randomTensor("float32", [...lead, inner], "x");
    const weight = randomTensor("float32", [outer, inner], "weight");
    const feeds = { x, weight, ...(biased ? { bias: randomTensor("float32", [outer], "bias") } : {}) };
    const layer = (at: Readonly<Record<string, Value>>): Value => linear(at["x"]!, at["weight"]!, at["bias"]);
    const output = layer(Object.fromEntries(Object.entries(feeds).map(([name, t]) => [name, inputOf(name, t)])));
    expect(output.shape).toEqual([...lead, outer]);

    const { y } = await evaluate({ y: output }, feeds);
    const [xAt, weightAt] = [reader(x), reader(weight)];
    const biasAt = feeds.bias ? reader(feeds.bias) : () => 0;
    const want = indicesOf(output.shape).map((index) => {
      const [rows, out] = [index.slice(0, -1), index.at(-1)!];
      return Array.from({ length: inner }, (_, i) => xAt([...rows, i]) * weightAt([out, i])).reduce(
        (sum, term) => sum + term,
        biasAt([out]),
      );
    });
    expect(distance(numbers(y), want)).toBeLessThan(1e-6);
    expect(await directionError(layer, feeds, 1)).toBeLessThan(1e-5);
  });
  await fc.assert(property, { numRuns: 20, seed: 1 });
});

it("refuses a weight of another width", () => {
  const x = input("x", "float32", [2, 3]);
  expect(() => linear(x, input("w", "float32", [4, 2]))).toThrow(expect.objectContaining({ code: "GRAPH_SHAPE" }));
});
