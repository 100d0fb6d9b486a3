// What every op means, in plain TypeScript: random legal operands, and each element of the result in float64.
import fc from "fast-check";
import {
  axisOf,
  drawn,
  type Drawn,
  filled,
  indices,
  type OpCase,
  type Range,
  shape,
  together,
} from "./op-draws.fixture.ts";
import type { OpAttributes, OpName } from "./ops.ts";
import { type DType, sizeOf } from "./tensor.ts";
import { reader } from "../../test/tensors.ts";

type None = OpAttributes["Add"];

const isInteger = (dtype: DType): boolean => dtype.includes("int");
const changed = (index: readonly number[], axis: number, to: number): number[] =>
  index.map((n, i) => (i === axis ? to : n));
const total = (n: number, term: (i: number) => number): number =>
  Array.from({ length: n }, (_, i) => term(i)).reduce((sum, x) => sum + x, 0);

function binary(f: (a: number, b: number, dtype: DType) => number, right: Range = {}, exact = false): OpCase<None> {
  return {
    draw: (dtype) =>
      together(2)
        .chain(([a, b]) => fc.tuple(filled(dtype, a!, right.whole ? right : {}), filled(dtype, b!, right)))
        .map((operands) => ({ operands, attributes: {} })),
    element: ([a, b], index, _, dtype) => f(a!(index), b!(index), dtype),
    exact,
  };
}

function unary(f: (x: number) => number, range: Range = {}): OpCase<None> {
  return {
    draw: (dtype) =>
      shape(0, 4)
        .chain((s) => filled(dtype, s, range))
        .map((x) => ({ operands: [x], attributes: {} })),
    element: ([x], index) => f(x!(index)),
  };
}

function reduction(f: (elements: number[]) => number): OpCase<OpAttributes["ReduceSum"]> {
  return {
    draw: (dtype) =>
      shape(1, 4).chain((s) =>
        drawn([filled(dtype, s)], fc.record({ axes: fc.shuffledSubarray([...s.keys()], { minLength: 1 }) })),
      ),
    element: ([x], index, { operands, attributes: { axes } }) => {
      const inner = axes.reduce<number[][]>(
        (all, axis) =>
          all.flatMap((at) => Array.from({ length: operands[0]!.shape[axis]! }, (_, i) => changed(at, axis, i))),
        [[...index]],
      );
      return f(inner.map((at) => x!(at)));
    },
  };
}

/** erf by its Taylor series; at |x| < 4 the cancelling terms leave 1e-9. */
export function erf(x: number): number {
  let [term, sum] = [x, x];
  for (let n = 1; n < 100; n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

function normalization(parameters: 1 | 2): OpCase<OpAttributes["RmsNorm"]> {
  return {
    draw: (dtype) =>
      shape(1, 4).chain((s) =>
        drawn(
          [filled(dtype, s), ...Array.from({ length: parameters }, () => filled(dtype, s.slice(-1)))],
          fc.record({ epsilon: fc.constantFrom(1e-5, 1e-2) }),
        ),
      ),
    element: ([x, weight, bias], index, { operands, attributes: { epsilon } }) => {
      const n = operands[0]!.shape.at(-1)!;
      const row = Array.from({ length: n }, (_, i) => x!(changed(index, index.length - 1, i)));
      const mean = bias ? total(n, (i) => row[i]!) / n : 0;
      const variance = total(n, (i) => (row[i]! - mean) ** 2) / n;
      return ((x!(index) - mean) / Math.sqrt(variance + epsilon)) * weight!(index) + (bias?.(index) ?? 0);
    },
  };
}

/** The table is exhaustive by type: an op without its meaning does not compile. */
export const opCases: { readonly [O in OpName]: OpCase<OpAttributes[O]> } = {
  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: binary((a, b, dtype) => (isInteger(dtype) ? Math.trunc(a / b) : a / b), { low: 1, high: 4 }),
  Equal: binary((a, b) => Number(a === b), { whole: true }, true),
  GreaterOrEqual: binary((a, b) => Number(a >= b), { whole: true }, true),
  And: binary((a, b) => a & b, {}, true),
  Neg: unary((x) => -x),
  Exp: unary(Math.exp),
  Log: unary(Math.log, { low: 0.1, high: 4 }),
  Sqrt: unary(Math.sqrt, { low: 0, high: 4 }),
  Reciprocal: unary((x) => 1 / x, { low: 0.3, high: 4 }),
  Erf: unary(erf, { low: -3, high: 3 }),
  Tanh: unary(Math.tanh, { low: -5, high: 5 }),
  Sigmoid: unary((x) => 1 / (1 + Math.exp(-x)), { low: -8, high: 8 }),
  Silu: unary((x) => x / (1 + Math.exp(-x)), { low: -8, high: 8 }),
  Softmax: {
    draw: (dtype) =>
      shape(1, 4)
        .chain((s) => filled(dtype, s, { low: -8, high: 8 }))
        .map((x) => ({ operands: [x], attributes: {} })),
    element: ([x], index, { operands }) => {
      const at = (i: number): number => Math.exp(x!(changed(index, index.length - 1, i)));
      return at(index.at(-1)!) / total(operands[0]!.shape.at(-1)!, at);
    },
  },
  MatMul: {
    draw: (dtype) =>
      fc
        .tuple(together(2, 2), shape(3, 3))
        .chain(([[left, right], [m, k, n]]) =>
          drawn([filled(dtype, [...left!, m!, k!]), filled(dtype, [...right!, k!, n!])], fc.constant({})),
        ),
    element: ([a, b], index, { operands }) => {
      const [lead, m, n] = [index.slice(0, -2), index.at(-2)!, index.at(-1)!];
      return total(operands[0]!.shape.at(-1)!, (k) => a!([...lead, m, k]) * b!([...lead, k, n]));
    },
  },
  Transpose: {
    draw: (dtype) =>
      shape(1, 4).chain((s) =>
        drawn(
          [filled(dtype, s)],
          fc.record({ permutation: fc.shuffledSubarray([...s.keys()], { minLength: s.length }) }),
        ),
      ),
    element: ([x], index, { attributes: { permutation } }) => {
      const from: number[] = [];
      permutation.forEach((axis, i) => (from[axis] = index[i]!));
      return x!(from);
    },
    exact: true,
  },
  Reshape: {
    draw: (dtype) =>
      shape(0, 4).chain((s) =>
        drawn(
          [filled(dtype, s)],
          fc.record({
            shape: fc.constantFrom([...s].reverse(), [sizeOf(s)], [...s, 1], [1, sizeOf(s), 1]),
          }),
        ),
      ),
    element: ([x], index, { operands, attributes }) => {
      let at = attributes.shape.reduce((sum, n, i) => sum * n + index[i]!, 0);
      const from = operands[0]!.shape.toReversed().map((n) => {
        const i = at % n;
        at = (at - i) / n;
        return i;
      });
      return x!(from.reverse());
    },
    exact: true,
  },
  Expand: {
    draw: (dtype) => together(2).chain(([from, to]) => drawn([filled(dtype, from!)], fc.constant({ shape: to! }))),
    element: ([x], index) => x!(index),
    exact: true,
  },
  Concat: {
    draw: (dtype) =>
      fc
        .tuple(shape(1, 4), shape(1, 3))
        .chain(([s, lengths]) => fc.tuple(fc.constant(s), fc.constant(lengths), axisOf(s)))
        .chain(([s, lengths, axis]) =>
          drawn(
            lengths.map((n) => filled(dtype, changed(s, axis, n))),
            fc.constant({ axis }),
          ),
        ),
    element: (xs, index, { operands, attributes: { axis } }) => {
      let at = index[axis]!;
      let part = 0;
      while (at >= operands[part]!.shape[axis]!) at -= operands[part++]!.shape[axis]!;
      return xs[part]!(changed(index, axis, at));
    },
    exact: true,
  },
  Slice: {
    draw: (dtype) =>
      shape(1, 4)
        .chain((s) => fc.tuple(fc.constant(s), axisOf(s)))
        .chain(([s, axis]) =>
          drawn(
            [filled(dtype, s)],
            fc
              .tuple(fc.nat(s[axis]! - 1), fc.nat(s[axis]! - 1))
              .map(([i, j]) => ({ axis, start: Math.min(i, j), end: Math.max(i, j) + 1 })),
          ),
        ),
    element: ([x], index, { attributes: { axis, start } }) => x!(changed(index, axis, index[axis]! + start)),
    exact: true,
  },
  Pad: {
    draw: (dtype) =>
      shape(1, 4).chain((s) =>
        drawn([filled(dtype, s)], fc.record({ axis: axisOf(s), before: fc.nat(2), after: fc.nat(2) })),
      ),
    element: ([x], index, { operands, attributes: { axis, before } }) => {
      const at = index[axis]! - before;
      return at < 0 || at >= operands[0]!.shape[axis]! ? 0 : x!(changed(index, axis, at));
    },
    exact: true,
  },
  ReduceSum: reduction((xs) => xs.reduce((sum, x) => sum + x, 0)),
  ReduceMean: reduction((xs) => xs.reduce((sum, x) => sum + x, 0) / xs.length),
  ReduceMax: reduction((xs) => Math.max(...xs)),
  Gather: {
    draw: (dtype) =>
      fc
        .tuple(shape(1, 3), shape(0, 2))
        .chain(([table, at]) => drawn([filled(dtype, table), indices(at, table[0]!)], fc.constant({}))),
    element: ([table, at], index, { operands }) => {
      const rank = operands[1]!.shape.length;
      return table!([at!(index.slice(0, rank)), ...index.slice(rank)]);
    },
    exact: true,
  },
  ScatterAdd: {
    draw: (dtype) =>
      fc
        .tuple(shape(1, 3), fc.integer({ min: 1, max: 5 }))
        .chain(([s, n]) =>
          drawn(
            [filled(dtype, s), filled("int64", [n, 1], { low: 0, high: s[0]! }), filled(dtype, [n, ...s.slice(1)])],
            fc.constant({ rows: s[0]! }),
          ),
        ),
    element: ([zeros, at, updates], index, { operands }) =>
      zeros!(index) +
      total(operands[1]!.shape[0]!, (i) => (at!([i, 0]) === index[0] ? updates!([i, ...index.slice(1)]) : 0)),
  },
  GatherElements: {
    draw: (dtype) =>
      shape(1, 4)
        .chain((s) => fc.tuple(fc.constant(s), axisOf(s), fc.integer({ min: 1, max: 3 })))
        .chain(([s, axis, n]) =>
          drawn([filled(dtype, s), indices(changed(s, axis, n), s[axis]!)], fc.constant({ axis })),
        ),
    element: ([x, at], index, { attributes: { axis } }) => x!(changed(index, axis, at!(index))),
    exact: true,
  },
  Where: {
    draw: (dtype) =>
      together(3).chain(([c, a, b]) =>
        drawn([filled("bool", c!), filled(dtype, a!), filled(dtype, b!)], fc.constant({})),
      ),
    element: ([c, a, b], index) => (c!(index) ? a!(index) : b!(index)),
    exact: true,
  },
  Cast: {
    draw: (dtype) =>
      shape(0, 4).chain((s) =>
        fc.record({
          // never negative: what a cast of −1.5 to uint8 gives is nobody's business
          operands: fc.tuple(filled(dtype, s, { low: 0, high: 3 })),
          attributes: fc.record({
            to: fc.constantFrom<DType>("float32", "float16", "int32", "int64", "bool", "uint8", "int8"),
          }),
        }),
      ),
    element: ([x], index, { attributes: { to } }) => {
      const value = x!(index);
      if (to === "bool") return Number(value !== 0);
      return isInteger(to) ? Math.trunc(value) : value;
    },
  },
  RmsNorm: normalization(1),
  LayerNorm: normalization(2),
};

/** The reference result of one op, in row-major order. */
export function reference<O extends OpName>(
  op: O,
  drawn: Drawn<OpAttributes[O]>,
  dtype: DType,
  at: readonly number[][],
): number[] {
  const readers = drawn.operands.map(reader);
  const { element } = opCases[op];
  return at.map((index) => element(readers, index, drawn, dtype));
}
