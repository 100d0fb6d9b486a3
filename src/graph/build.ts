// The words of the graph language: one function per op, values in, value out.
import { constant, type OpNode, type Value } from "./graph.ts";
import { ops, type OpAttributes, type OpName } from "./ops.ts";
import { type DType, floats, type Shape, sameShape, tensor } from "./tensor.ts";

/** Applies an op; throws `GRAPH_SHAPE` when its operands do not fit. */
export function apply<O extends OpName>(op: O, inputs: readonly Value[], attributes: OpAttributes[O]): Value {
  return { ...ops[op].infer(inputs, attributes), node: { kind: "op", op, inputs, attributes } };
}

const scalars = new Map<number, Value>();

/** A float32 scalar constant (shared: equal numbers are one value). */
export function scalar(x: number): Value {
  const known = scalars.get(x) ?? constant(floats([], [x]));
  scalars.set(x, known);
  return known;
}

/** Operands that may be plain numbers. */
export type Operand = Value | number;
const value = (x: Operand): Value => (typeof x === "number" ? scalar(x) : x);

export const add = (a: Operand, b: Operand): Value => apply("Add", [value(a), value(b)], {});
export const subtract = (a: Operand, b: Operand): Value => apply("Sub", [value(a), value(b)], {});
export const multiply = (a: Operand, b: Operand): Value => apply("Mul", [value(a), value(b)], {});
export const divide = (a: Operand, b: Operand): Value => apply("Div", [value(a), value(b)], {});
export const negate = (x: Value): Value => apply("Neg", [x], {});
export const exp = (x: Value): Value => apply("Exp", [x], {});
export const log = (x: Value): Value => apply("Log", [x], {});
export const sqrt = (x: Value): Value => apply("Sqrt", [x], {});
export const reciprocal = (x: Value): Value => apply("Reciprocal", [x], {});
export const erf = (x: Value): Value => apply("Erf", [x], {});
export const tanh = (x: Value): Value => apply("Tanh", [x], {});
export const sigmoid = (x: Value): Value => apply("Sigmoid", [x], {});
/** x·σ(x) (arXiv 1702.03118). */
export const silu = (x: Value): Value => apply("Silu", [x], {});
/** Softmax over the last axis. */
export const softmax = (x: Value): Value => apply("Softmax", [x], {});
/** Batched matrix product over the last two axes; leading axes broadcast. */
export const matMul = (a: Value, b: Value): Value => apply("MatMul", [a, b], {});

/** Reorders axes; the identity is dropped and two in a row become one (or none), so that (Wᵀ)ᵀ costs nothing. */
export function transpose(x: Value, permutation: readonly number[]): Value {
  if (permutation.every((axis, i) => axis === i)) return x;
  if (isOp(x, "Transpose")) {
    const { inputs, attributes } = x.node;
    return transpose(
      inputs[0]!,
      permutation.map((axis) => attributes.permutation[axis]!),
    );
  }
  return apply("Transpose", [x], { permutation });
}

/** Whether a value was made by the given op. */
export function isOp<O extends OpName>(x: Value, op: O): x is Value & { readonly node: OpNode<O> } {
  return x.node.kind === "op" && x.node.op === op;
}

/** Swaps the last two axes. */
export function swapLast(x: Value): Value {
  const rank = x.shape.length;
  return transpose(x, [...Array(rank - 2).keys(), rank - 1, rank - 2]);
}

/**
 * A matrix transposed by a copy of its own. With two axes ONNX Runtime would fold it into the product that reads it,
 * and MLAS transposes a left operand again for every panel of the right one: a fifth slower than this copy.
 */
export function transposedCopy(x: Value): Value {
  const [rows, columns] = x.shape as [number, number];
  return reshape(transpose(reshape(x, [1, rows, columns]), [0, 2, 1]), [columns, rows]);
}

/** Same elements, other shape; dropped when nothing changes. */
export function reshape(x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : apply("Reshape", [x], { shape });
}

/** Repeats axes of length 1 up to `shape`. */
export function expand(x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : apply("Expand", [x], { shape });
}

export const concat = (xs: readonly Value[], axis: number): Value =>
  xs.length === 1 ? xs[0]! : apply("Concat", xs, { axis });

/** Elements `start..end` (exclusive) of one axis. */
export function slice(x: Value, axis: number, start: number, end: number): Value {
  return start === 0 && end === x.shape[axis] ? x : apply("Slice", [x], { axis, start, end });
}

/** Zeros before and after one axis. */
export function pad(x: Value, axis: number, before: number, after: number): Value {
  return before === 0 && after === 0 ? x : apply("Pad", [x], { axis, before, after });
}

/** Cuts an axis into consecutive parts of the given lengths. */
export function split(x: Value, axis: number, lengths: readonly number[]): Value[] {
  let start = 0;
  return lengths.map((length) => slice(x, axis, start, (start += length)));
}

const reduce = (op: "ReduceSum" | "ReduceMean" | "ReduceMax", x: Value, axes: readonly number[]): Value =>
  axes.length === 0 ? x : apply(op, [x], { axes });
/** Sums over `axes`, which stay with length 1. */
export const sum = (x: Value, axes: readonly number[]): Value => reduce("ReduceSum", x, axes);
/** Means over `axes`, which stay with length 1. */
export const mean = (x: Value, axes: readonly number[]): Value => reduce("ReduceMean", x, axes);
/** Largest over `axes`, which stay with length 1. */
export const max = (x: Value, axes: readonly number[]): Value => reduce("ReduceMax", x, axes);
/** Rows of `table` [V, …] at integer `indices`. */
export const gather = (table: Value, indices: Value): Value => apply("Gather", [table, indices], {});
/** `zeros` with rows of `updates` [N, …] added at int64 `indices` [N, 1]; rows may repeat. */
export const scatterAdd = (zeros: Value, indices: Value, updates: Value): Value =>
  apply("ScatterAdd", [zeros, indices, updates], { rows: zeros.shape[0]! });
/** out[i][j] = x[i][indices[i][j]] along `axis`. */
export const gatherElements = (x: Value, indices: Value, axis: number): Value =>
  apply("GatherElements", [x, indices], { axis });
export const where = (condition: Value, a: Operand, b: Operand): Value =>
  apply("Where", [condition, value(a), value(b)], {});
export const equal = (a: Value, b: Value): Value => apply("Equal", [a, b], {});
export const greaterOrEqual = (a: Value, b: Value): Value => apply("GreaterOrEqual", [a, b], {});
export const and = (a: Value, b: Value): Value => apply("And", [a, b], {});
export const cast = (x: Value, to: DType): Value => (x.dtype === to ? x : apply("Cast", [x], { to }));
/** x / sqrt(mean(x²) + ε) · weight over the last axis. */
export const rmsNorm = (x: Value, weight: Value, epsilon: number): Value => apply("RmsNorm", [x, weight], { epsilon });
/** (x − mean) / sqrt(var + ε) · weight + bias over the last axis. */
export const layerNorm = (x: Value, weight: Value, bias: Value, epsilon: number): Value =>
  apply("LayerNorm", [x, weight, bias], { epsilon });
/** Zeros, written into the file as one number. */
export const zeros = (dtype: DType, shape: Shape): Value => expand(constant(tensor(dtype, [])), shape);
