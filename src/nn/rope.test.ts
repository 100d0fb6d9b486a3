// Rotary positions: tables equal transformers', the rotation is the complex product it stands for.
import { describe, expect, it } from "vitest";
import { directionError } from "../../test/direction.ts";
import { evaluate } from "../../test/evaluate.ts";
import { distance, inputOf, numbers, randomTensor } from "../../test/tensors.ts";
import { multiply, sum } from "../graph/build.ts";
import { floats } from "../graph/tensor.ts";
import { rotate, rotationTables } from "./rope.ts";

/** From LlamaRotaryEmbedding of transformers 5.23: [head size, base, position, first columns of cos, of sin]. */
const golden: [number, number, number, number[], number[]][] = [
  [8, 10000, 0, [1, 1, 1, 1], [0, 0, 0, 0]],
  [
    8,
    10000,
    1,
    [0.540302336, 0.995004177, 0.999949992, 0.999999523],
    [0.841470957, 0.0998334214, 0.00999983307, 0.000999999931],
  ],
  [
    8,
    10000,
    1000,
    [0.562379062, 0.862318873, -0.839071512, 0.540302336],
    [0.826879561, -0.506365657, -0.54402113, 0.841470957],
  ],
  [
    8,
    10000,
    8191,
    [-0.646390498, -0.655730963, 0.973987579, -0.330674648],
    [-0.763006806, 0.754994631, 0.226601541, 0.943744838],
  ],
  [6, 500000, 4095, [-0.0659759939, 0.240150765, 0.796059251], [-0.997821212, 0.97073561, 0.605218709]],
  [64, 100000, 2047, [0.249715254, -0.568963885], [-0.968319297, 0.822362483]],
];

describe("rotationTables", () => {
  it.each(golden)("equals transformers for heads of %i, base %i, position %i", (headSize, base, position, cos, sin) => {
    // another position before it, so that rows are told apart
    const table = rotationTables([3, position], headSize, base);
    expect(table.cos).toHaveLength(headSize);
    const row = (all: Float32Array): number[] => [...all.subarray(headSize / 2)].slice(0, cos.length);
    // one unit in the last place of the angle would show: 5e-4 at position 8191
    expect(distance(row(table.cos), cos)).toBeLessThan(1e-7);
    expect(distance(row(table.sin), sin)).toBeLessThan(1e-7);
  });
});

describe("rotate", () => {
  const [batch, length, headSize] = [2, 3, 8];
  const half = headSize / 2;
  const positions = [0, 5, 1];
  const tables = rotationTables(positions, headSize, 100);
  const rotation = { cos: floats([length, half], tables.cos), sin: floats([length, half], tables.sin) };
  const x = randomTensor("float32", [batch, length, headSize], "x");
  const feeds = { x, ...rotation };
  const from = inputOf("x", x);
  const turned = rotate(from, { cos: inputOf("cos", rotation.cos), sin: inputOf("sin", rotation.sin) });

  it("multiplies x₁ + ix₂ by e^(i·angle)", async () => {
    const values = numbers(x);
    const want = values.map((_, at) => {
      const [row, column] = [Math.floor(at / headSize), at % headSize];
      const pair = column % half;
      const angle = positions[row % length]! * 100 ** ((-2 * pair) / headSize);
      const [re, im] = [values[row * headSize + pair]!, values[row * headSize + pair + half]!];
      return column < half ? re * Math.cos(angle) - im * Math.sin(angle) : re * Math.sin(angle) + im * Math.cos(angle);
    });
    expect(distance(numbers((await evaluate({ y: turned }, feeds)).y), want)).toBeLessThan(1e-6);
  });

  it("makes products of queries and keys depend on the distance alone", async () => {
    const row = randomTensor("float32", [2, 1, headSize], "row");
    const score = async (q: number, k: number): Promise<number> => {
      const { cos, sin } = rotationTables([q, k], headSize, 100);
      const at = { x: row, cos: floats([2, 1, half], cos), sin: floats([2, 1, half], sin) };
      const y = rotate(inputOf("x", row), { cos: inputOf("cos", at.cos), sin: inputOf("sin", at.sin) });
      const values = numbers((await evaluate({ y }, at)).y);
      return values.slice(0, headSize).reduce((total, n, i) => total + n * values[headSize + i]!, 0);
    };
    const near = await score(4, 1);
    expect(await score(104, 101)).toBeCloseTo(near, 4);
    expect(Math.abs((await score(5, 1)) - near)).toBeGreaterThan(1e-2);
  });

  it("has a gradient, and keeps lengths", async () => {
    const f = (at: Record<string, typeof turned>) => rotate(at["x"]!, { cos: at["cos"]!, sin: at["sin"]! });
    expect(await directionError(f, feeds, 1)).toBeLessThan(1e-5);
    const squares = (value: typeof turned) => sum(multiply(value, value), [2]);
    const got = await evaluate({ before: squares(from), after: squares(turned) }, feeds);
    expect(distance(numbers(got.after), numbers(got.before))).toBeLessThan(1e-6);
  });
});
