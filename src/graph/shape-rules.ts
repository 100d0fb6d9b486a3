// What the rules of the op table share: operands, axes, broadcasting, and the error GRAPH_SHAPE.
import { BugError } from "../errors.ts";
import { type Shape, showShape, type ValueType } from "./tensor.ts";

/** numpy broadcasting of two shapes; throws `GRAPH_SHAPE`. */
export function broadcast(a: Shape, b: Shape, op = "broadcast"): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const m = a[a.length - rank + i] ?? 1;
    const n = b[b.length - rank + i] ?? 1;
    if (m !== n && m !== 1 && n !== 1) illegal(op, "shapes that broadcast", `${showShape(a)} and ${showShape(b)}`);
    return m === 1 ? n : m;
  });
}

/** Throws `GRAPH_SHAPE`. */
export function illegal(op: string, expected: string, got: string): never {
  throw new BugError("GRAPH_SHAPE", { expected, got, where: `op ${op}` });
}

/** One operand of an op; throws `GRAPH_SHAPE` when it was not given. */
export function operand(inputs: readonly ValueType[], index: number, op: string): ValueType {
  return inputs[index] ?? illegal(op, `operand ${index}`, `${inputs.length} operands`);
}

/** The length of one axis; throws `GRAPH_SHAPE` when the shape has no such axis. */
export function axisOf(shape: Shape, axis: number, op: string): number {
  return shape[axis] ?? illegal(op, `an axis of ${showShape(shape)}`, String(axis));
}

/** A shape with one axis of another length. */
export const alongAxis = (shape: Shape, axis: number, n: number): Shape => shape.map((m, i) => (i === axis ? n : m));

/** […, M, K] × […, K, N] → […, M, N], leading axes broadcast. */
export function matMulShape(inputs: readonly ValueType[]): ValueType {
  const [a, b] = [operand(inputs, 0, "MatMul"), operand(inputs, 1, "MatMul")];
  const [k, k2] = [a.shape.at(-1), b.shape.at(-2)];
  if (a.shape.length < 2 || b.shape.length < 2 || k !== k2 || a.dtype !== b.dtype) {
    illegal("MatMul", "[…, M, K] × […, K, N] of one dtype", `${showShape(a.shape)} × ${showShape(b.shape)}`);
  }
  return {
    dtype: a.dtype,
    shape: [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2), "MatMul"), a.shape.at(-2)!, b.shape.at(-1)!],
  };
}
