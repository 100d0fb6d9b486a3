// Every rule of the VJP table against central differences in a random direction.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate } from "../../test/evaluate.ts";
import { inputOf, numbers, randomTensor, tensorOf } from "../../test/tensors.ts";
import { apply, cast, max } from "../graph/build.ts";
import { constant, input, type Value } from "../graph/graph.ts";
import { opCases } from "../graph/op-cases.fixture.ts";
import type { Drawn } from "../graph/op-draws.fixture.ts";
import { type OpAttributes, type OpName, ops } from "../graph/ops.ts";
import { type DType, floats, type Shape, sizeOf, type Tensor } from "../graph/tensor.ts";
import { random } from "../data/random.ts";
import { gradients } from "./backward.ts";
import { rules } from "./rules.ts";

/**
 * With u the seed and v the direction, ⟨v, Jᵀu⟩ from our gradients must equal d⟨u, f(x + tv)⟩/dt, taken as
 * (8(f₁ − f₋₁) − (f₂ − f₋₂)) / 12h with fₖ at t = kh, whose own error is h⁴/30 · f⁽⁵⁾: 2e-9 · f⁽⁵⁾.
 * Inputs, v and u lie on binary grids, so that x + kh·v and casts to float16 are exact. What is left is the rounding of
 * f, 6e-8 · 1.5/h = 6e-6 of Σ|u·f| at worst. Measured over 100 draws an op: worst 2.9e-6 (RmsNorm), and 0 for every op
 * that is linear in its operands.
 */
const h = 2 ** -6;
const [inputGrid, directionGrid] = [2 ** -8, 2 ** -2];
const unit = { low: -1, high: 1 };
/** of 1 + Σ|v·g| + Σ|u·f| */
const tolerance = 1e-5;

interface GradientCase<A> {
  /** where the op is smooth and its fifth derivative small (below 1e3) */
  readonly low?: number;
  readonly high?: number;
  /** values at least ½ apart: no step changes which is largest, no variance is near 0 */
  readonly spaced?: true;
  readonly draw?: fc.Arbitrary<Drawn<A>>;
}

const float16Cast = opCases.Cast.draw("float32").map(({ operands }) => ({
  operands,
  attributes: { to: "float16" as DType },
}));

/** Exhaustive by type, as the table of rules: an op without a case does not compile. "none": nothing flows through it. */
const cases: { readonly [O in OpName]: GradientCase<OpAttributes[O]> | "none" } = {
  Add: {},
  Sub: {},
  Mul: {},
  Div: { low: 1, high: 3 },
  Neg: {},
  Exp: {},
  Log: { low: 0.5, high: 4 },
  Sqrt: { low: 0.5, high: 4 },
  Reciprocal: { low: 1, high: 4 },
  Erf: {},
  Tanh: {},
  Sigmoid: { low: -4, high: 4 },
  Softmax: {},
  MatMul: {},
  Transpose: {},
  Reshape: {},
  Expand: {},
  Concat: {},
  Slice: {},
  Pad: {},
  ReduceSum: {},
  ReduceMean: {},
  ReduceMax: { spaced: true },
  Gather: {},
  ScatterAdd: {},
  GatherElements: {},
  Where: {},
  Cast: { draw: float16Cast },
  RmsNorm: { low: 0.5, high: 2 },
  LayerNorm: { spaced: true },
  Equal: "none",
  GreaterOrEqual: "none",
  And: "none",
};

const onGrid = (t: Tensor, grid: number): Tensor =>
  tensorOf(
    t.dtype,
    t.shape,
    numbers(t).map((x) => Math.round(x / grid) * grid),
  );

/** Multiples of ½ in random order, around zero. */
function spacedTensor(shape: Shape, seed: number): Tensor {
  const n = sizeOf(shape);
  const order = random("spaced", seed).shuffle(Array.from({ length: n }, (_, i) => (i - (n - 1) / 2) / 2));
  return floats(shape, order);
}

function operandsOf(
  drawn: Drawn<unknown>,
  { low = -2, high = 2, spaced }: GradientCase<unknown>,
  seed: number,
): Tensor[] {
  return drawn.operands.map((x, i) => {
    if (x.dtype !== "float32") return x;
    if (spaced) return spacedTensor(x.shape, seed + i);
    return onGrid(randomTensor("float32", x.shape, seed + i, { low, high }), inputGrid);
  });
}

const products = (a: Tensor, b: Tensor): number[] => {
  const right = numbers(b);
  return numbers(a).map((x, i) => x * right[i]!);
};
const sum = (xs: readonly number[]): number => xs.reduce((total, x) => total + x, 0);

/** How far our derivative along a random direction is from the differences' one, in parts of the scale. */
async function error(op: OpName, { operands, attributes }: Drawn<unknown>, seed: number): Promise<number> {
  const smooth = operands.map(({ dtype }) => dtype === "float32");
  const v = operands.map((x, i) => onGrid(randomTensor("float32", x.shape, `v${seed + i}`, unit), directionGrid));
  const moved = (x: Tensor, i: number, k: number): Tensor =>
    smooth[i]
      ? tensorOf(
          x.dtype,
          x.shape,
          numbers(x).map((n, j) => n + k * h * numbers(v[i]!)[j]!),
        )
      : x;
  const inputsAt = (k: number): Value[] => operands.map((x, i) => inputOf(`x${i} at ${k}`, x));
  const applied = (inputs: Value[]): Value => apply(op, inputs, attributes as never);
  const feeds = Object.fromEntries(
    [-2, -1, 0, 1, 2].flatMap((k) => operands.map((x, i) => [`x${i} at ${k}`, moved(x, i, k)])),
  ) as Record<string, Tensor>;

  const x = inputsAt(0);
  const y = applied(x);
  const u = onGrid(randomTensor(y.dtype, y.shape, `u${seed}`, unit), directionGrid);
  const g = gradients(new Map([[y, inputOf("u", u)]]), x);
  expect(g.map((part) => part && [part.dtype, part.shape])).toEqual(
    operands.map(({ dtype, shape }, i) => (smooth[i] ? [dtype, shape] : undefined)),
  );

  const values = Object.fromEntries([-2, -1, 1, 2].map((k) => [`y${k}`, applied(inputsAt(k))]));
  const parts = Object.fromEntries(g.flatMap((part, i) => (part ? [[`g${i}`, part]] : [])));
  const got = (await evaluate({ y, ...values, ...parts }, { ...feeds, u })) as Record<string, Tensor>;
  const f = (k: number): number => sum(products(u, got[`y${k}`]!));
  const numeric = (8 * (f(1) - f(-1)) - (f(2) - f(-2))) / (12 * h);
  const ours = operands.flatMap((_, i) => (smooth[i] ? products(v[i]!, got[`g${i}`]!) : []));
  const scale = 1 + sum(ours.map(Math.abs)) + sum(products(u, got["y"]!).map(Math.abs));
  return Math.abs(sum(ours) - numeric) / scale;
}

const names = Object.keys(ops) as OpName[];
const smoothNames = names.filter((op) => cases[op] !== "none");

it("has a case for exactly the ops that have a rule", () => {
  expect(names.filter((op) => rules[op] !== "none")).toEqual(smoothNames);
});

it.each(smoothNames)("%s", async (op) => {
  const chosen = cases[op] as GradientCase<unknown>;
  const draw = chosen.draw ?? (opCases[op].draw("float32") as fc.Arbitrary<Drawn<unknown>>);
  const property = fc.asyncProperty(draw, fc.noShrink(fc.nat()), async (drawn, seed) => {
    const operands = operandsOf(drawn, chosen, seed);
    expect(await error(op, { ...drawn, operands }, seed)).toBeLessThan(tolerance);
  });
  await fc.assert(property, { numRuns: 20, seed: 1 });
});

describe("nothing flows", () => {
  const [x, other] = [input("x", "float32", [2, 3]), input("other", "float32", [2, 3])];
  const u = input("u", "float32", [2, 3]);

  it.each(names.filter((op) => cases[op] === "none"))("through %s", (op) => {
    const bools = [x, other].map((value) => cast(value, "bool"));
    const y = cast(apply(op, op === "And" ? bools : [x, other], {}), "float32");
    expect(gradients(new Map([[y, u]]), [x, other])).toEqual([undefined, undefined]);
  });

  it("through a cast to whole numbers and back", () => {
    const y = cast(cast(x, "int32"), "float32");
    expect(gradients(new Map([[y, u]]), [x])).toEqual([undefined]);
  });
});

it("shares the gradient of a maximum equally among ties", async () => {
  const x = floats([2, 3], [1, 4, 4, 5, 5, 5]);
  const from = inputOf("x", x);
  const [g] = gradients(new Map([[max(from, [1]), constant(floats([2, 1], [1, 6]))]]), [from]);
  expect(numbers((await evaluate({ g: g! }, { x })).g)).toEqual([0, 0.5, 0.5, 2, 2, 2]);
});
