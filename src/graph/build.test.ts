// The builders: what they simplify away computes the same as what was written.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate } from "../../test/evaluate.ts";
import { inputOf, numbers, randomTensor } from "../../test/tensors.ts";
import {
  apply,
  cast,
  concat,
  expand,
  isOp,
  mean,
  max,
  pad,
  reshape,
  scalar,
  slice,
  split,
  sum,
  swapLast,
  transpose,
  zeros,
} from "./build.ts";
import { encodeModel } from "./encode.ts";
import { graph, input, type Value } from "./graph.ts";

const x = input("x", "float32", [2, 3, 4]);

it.each<[string, Value]>([
  ["a transpose that moves nothing", transpose(x, [0, 1, 2])],
  ["a transpose back", transpose(transpose(x, [1, 2, 0]), [2, 0, 1])],
  ["the last axes swapped twice", swapLast(swapLast(x))],
  ["a reshape to the same shape", reshape(x, [2, 3, 4])],
  ["an expansion to the same shape", expand(x, [2, 3, 4])],
  ["one thing joined", concat([x], 0)],
  ["a slice of the whole axis", slice(x, 1, 0, 3)],
  ["padding with nothing", pad(x, 2, 0, 0)],
  ["a cut into one part", split(x, 2, [4])[0]!],
  ["a sum over no axes", sum(x, [])],
  ["a mean over no axes", mean(x, [])],
  ["a maximum over no axes", max(x, [])],
  ["a cast to its own dtype", cast(x, "float32")],
])("drops %s", (_, value) => expect(value).toBe(x));

describe("transpose", () => {
  it("folds one into the next without changing the result", async () => {
    const permutation = fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 });
    const property = fc.asyncProperty(permutation, permutation, async (first, second) => {
      const t = randomTensor("float32", [2, 3, 4, 5], "transpose");
      const from = inputOf("x", t);
      const folded = transpose(transpose(from, first), second);
      const plain = apply("Transpose", [apply("Transpose", [from], { permutation: first })], { permutation: second });
      const got = await evaluate({ folded, plain }, { x: t });
      expect(folded.shape).toEqual(plain.shape);
      expect(numbers(got.folded)).toEqual(numbers(got.plain));
      if (isOp(folded, "Transpose")) expect(folded.node.inputs[0]).toBe(from);
    });
    await fc.assert(property, { numRuns: 20 });
  });
});

it("keeps one value per number", () => {
  expect(scalar(0.5)).toBe(scalar(0.5));
  expect(scalar(0)).not.toBe(scalar(1));
});

it("writes zeros of any size in a few bytes", async () => {
  expect(encodeModel(graph("g", { y: zeros("float32", [50_000, 512]) })).length).toBeLessThan(500);
  const { y } = await evaluate({ y: zeros("int64", [2, 2]) });
  expect(numbers(y)).toEqual([0, 0, 0, 0]);
});
