// The op table: what the engine computes equals the plain meaning of every op, and operands that do not fit are refused.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate } from "../../test/evaluate.ts";
import { distance, indicesOf, inputOf, numbers } from "../../test/tensors.ts";
import { apply, softmax } from "./build.ts";
import { checkGraph } from "./check.ts";
import { graph, input, type Value } from "./graph.ts";
import { opCases, reference } from "./op-cases.fixture.ts";
import type { Drawn, OpCase } from "./op-draws.fixture.ts";
import { type OpAttributes, type OpName, ops } from "./ops.ts";
import { broadcast } from "./shape-rules.ts";
import { bytesPerElement, type DType, floats } from "./tensor.ts";

const names = Object.keys(ops) as OpName[];
const dtypes = Object.keys(bytesPerElement) as DType[];

/**
 * Apart by at most so much of 1 + |wanted|, inputs being exact: float32 rounds by 6e-8 a step (measured worst 8e-7, a
 * LayerNorm over nearly equal numbers), float16 by 5e-4 once, at the end (measured worst 3.3e-4). Whole numbers are exact.
 */
const tolerance: Partial<Record<DType, number>> = { float32: 2e-6, float16: 1e-3 };

interface Built {
  readonly output: Value;
  readonly drawn: Drawn<OpAttributes[OpName]>;
}

function build(op: OpName, drawn: Drawn<OpAttributes[OpName]>): Built {
  const inputs = drawn.operands.map((x, i) => inputOf(`x${i}`, x));
  return { output: apply(op, inputs, drawn.attributes as never), drawn };
}

const caseOf = (op: OpName): OpCase<OpAttributes[OpName]> => opCases[op] as OpCase<OpAttributes[OpName]>;

/** Whether the tables promise that the CPU runs this op on this dtype. */
function isPromised(op: OpName, dtype: DType): boolean {
  try {
    const [drawn] = fc.sample(caseOf(op).draw(dtype), { numRuns: 1, seed: 0 });
    checkGraph(graph("promise", { y: build(op, drawn!).output }), "cpu");
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: expect.stringMatching(/^GRAPH_(SHAPE|ILLEGAL)$/) as string });
    return false;
  }
}

describe.each(names)("%s", (op) => {
  const promised = dtypes.filter((dtype) => isPromised(op, dtype));

  it("runs where training needs it", () => expect(promised).toContain(op === "And" ? "bool" : "float32"));

  it.each(promised)("computes its meaning on %s", async (dtype) => {
    const property = fc.asyncProperty(caseOf(op).draw(dtype), async (drawn) => {
      const { output } = build(op, drawn);
      const feeds = Object.fromEntries(drawn.operands.map((x, i) => [`x${i}`, x]));
      const { y } = await evaluate({ y: output }, feeds);
      const want = reference(op, drawn as never, dtype, indicesOf(output.shape));
      const allowed = caseOf(op).exact ? 0 : Math.max(tolerance[dtype] ?? 0, tolerance[output.dtype] ?? 0);
      expect(distance(numbers(y), want)).toBeLessThanOrEqual(allowed);
    });
    await fc.assert(property, { numRuns: dtype === "float32" ? 25 : 8, seed: 1 });
  });
});

it("keeps softmax finite at the extremes of logits and masks", async () => {
  const x = floats([3, 3], [1e4, -1e4, 0, -1e30, 0, -1e30, -1e30, -1e30, -1e30]);
  const { y } = await evaluate({ y: softmax(inputOf("x", x)) }, { x });
  const third = Math.fround(1 / 3);
  expect(numbers(y)).toEqual([1, 0, 0, 0, 1, 0, third, third, third]);
});

it("broadcasts as numpy does, in either order", () => {
  expect(broadcast([], [2, 3])).toEqual([2, 3]);
  expect(broadcast([4, 1, 3], [2, 1])).toEqual([4, 2, 3]);
  expect(broadcast([2, 1], [4, 1, 3])).toEqual([4, 2, 3]);
  expect(() => broadcast([2], [3])).toThrow("expected shapes that broadcast, got [2] and [3]");
});

type Refusal<O extends OpName> = readonly [why: string, operands: readonly Value[], attributes: OpAttributes[O]];
const f = (...shape: number[]): Value => input("f", "float32", shape);
const h = (...shape: number[]): Value => input("h", "float16", shape);
const i = (...shape: number[]): Value => input("i", "int64", shape);
const mixed: Refusal<"Add"> = ["two dtypes", [f(2), i(2)], {}];
const apart: Refusal<"Add"> = ["shapes that do not broadcast", [f(2, 3), f(2)], {}];
const whole: Refusal<"Neg"> = ["integers", [i(2)], {}];
const reductions: Refusal<"ReduceSum">[] = [
  ["an axis it lacks", [f(2, 3)], { axes: [2] }],
  ["an axis from the end", [f(2, 3)], { axes: [-1] }],
  ["no axes, which ONNX takes for all", [f(2, 3)], { axes: [] }],
  ["an axis twice", [f(2, 3)], { axes: [0, 0] }],
];

/** Operands that each op refuses, exhaustive by type. */
const refusals: { readonly [O in OpName]: readonly Refusal<O>[] } = {
  Add: [mixed, apart],
  Sub: [mixed, apart],
  Mul: [mixed, apart],
  Div: [mixed, apart],
  Equal: [mixed, apart],
  GreaterOrEqual: [mixed, apart],
  And: [mixed, apart, ["numbers", [f(2), f(2)], {}]],
  Neg: [whole],
  Exp: [whole],
  Log: [whole],
  Sqrt: [whole],
  Reciprocal: [whole],
  Erf: [whole],
  Tanh: [whole],
  Sigmoid: [whole],
  Silu: [whole],
  Softmax: [whole, ["a scalar, which has no last axis", [f()], {}]],
  MatMul: [
    ["inner lengths that differ", [f(2, 3), f(2, 3)], {}],
    ["a vector", [f(3), f(3, 2)], {}],
    ["a vector on the right", [f(2, 3), f(3)], {}],
    ["two dtypes", [f(2, 3), h(3, 2)], {}],
    ["leading axes that do not broadcast", [f(2, 1, 3), f(3, 3, 1)], {}],
  ],
  Transpose: [
    ["an axis twice", [f(2, 3)], { permutation: [0, 0] }],
    ["too few axes", [f(2, 3)], { permutation: [0] }],
  ],
  Reshape: [
    ["another number of elements", [f(2, 3)], { shape: [5] }],
    ["lengths below 1 whose product is right", [f(2, 3)], { shape: [-2, -3] }],
  ],
  Expand: [["a shape it cannot grow to", [f(2, 3)], { shape: [2, 4] }]],
  Concat: [
    ["nothing", [], { axis: 0 }],
    ["other axes that differ", [f(2, 3), f(2, 4)], { axis: 0 }],
    ["other ranks", [f(2, 3), f(2)], { axis: 0 }],
    ["an axis it lacks", [f(2), f(2)], { axis: 1 }],
    ["two dtypes", [f(2), h(2)], { axis: 0 }],
  ],
  Slice: [
    ["an axis it lacks", [f(2)], { axis: 1, start: 0, end: 1 }],
    ["an end beyond the axis", [f(2)], { axis: 0, start: 0, end: 3 }],
    ["nothing left", [f(2)], { axis: 0, start: 1, end: 1 }],
    ["a start from the end", [f(2)], { axis: 0, start: -1, end: 2 }],
  ],
  Pad: [
    ["an axis it lacks", [f(2)], { axis: 1, before: 1, after: 0 }],
    ["a negative length", [f(2)], { axis: 0, before: -1, after: 0 }],
  ],
  ReduceSum: reductions,
  ReduceMean: reductions,
  ReduceMax: reductions,
  Gather: [
    ["indices that are not whole", [f(3, 2), f(2)], {}],
    ["a scalar for a table", [f(), i(2)], {}],
  ],
  ScatterAdd: [
    ["another number of rows", [f(3, 2), i(1, 1), f(1, 2)], { rows: 2 }],
    ["as many indices as it likes", [f(3, 2), i(2, 1), f(1, 2)], { rows: 3 }],
    ["indices in one axis", [f(3, 2), i(1), f(1, 2)], { rows: 3 }],
    ["int32 indices", [f(3, 2), input("i", "int32", [1, 1]), f(1, 2)], { rows: 3 }],
    ["rows of another length", [f(3, 2), i(1, 1), f(1, 3)], { rows: 3 }],
    ["rows of another dtype", [f(3, 2), i(1, 1), h(1, 2)], { rows: 3 }],
  ],
  GatherElements: [
    ["indices that are not whole", [f(3, 2), f(3, 1)], { axis: 1 }],
    ["other axes that differ", [f(3, 2), i(2, 1)], { axis: 1 }],
    ["an axis it lacks", [f(3, 2), i(3, 2)], { axis: 2 }],
  ],
  Where: [
    ["a number for a condition", [f(2), f(2), f(2)], {}],
    ["two dtypes", [input("c", "bool", [2]), f(2), h(2)], {}],
    ["a condition that does not broadcast", [input("c", "bool", [3]), f(2), f(2)], {}],
  ],
  Cast: [],
  RmsNorm: [
    ["a weight of another length", [f(2, 3), f(2)], { epsilon: 1e-5 }],
    ["a weight of another dtype", [f(2, 3), h(3)], { epsilon: 1e-5 }],
  ],
  LayerNorm: [
    ["a bias of another length", [f(2, 3), f(3), f(1)], { epsilon: 1e-5 }],
    ["a bias in two axes", [f(2, 3), f(3), f(1, 3)], { epsilon: 1e-5 }],
  ],
};

describe.each(names)("%s refuses", (op) => {
  it.each([
    ...refusals[op],
    ["missing operands", [], fc.sample(caseOf(op).draw("float32"), { numRuns: 1, seed: 0 })[0]!.attributes] as const,
  ])("%s", (_, operands, attributes) => {
    const refused = expect(() => apply(op, operands, attributes as never));
    refused.toThrow(expect.objectContaining({ code: "GRAPH_SHAPE" }));
  });
});
