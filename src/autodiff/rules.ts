// The VJP table: for every op, the gradients of its operands from the gradient of its output.
import {
  add,
  cast,
  divide,
  equal,
  exp,
  expand,
  gather,
  isOp,
  matMul,
  mean,
  multiply,
  negate,
  pad,
  reciprocal,
  reshape,
  scatterAdd,
  sigmoid,
  slice,
  split,
  sqrt,
  subtract,
  sum,
  swapLast,
  transpose,
  transposedCopy,
  where,
  zeros,
} from "../graph/build.ts";
import { constant, type Value } from "../graph/graph.ts";
import type { OpAttributes, OpName } from "../graph/ops.ts";
import { sizeOf, tensor } from "../graph/tensor.ts";

/** One application of an op as its rule sees it: operands, attributes and the value it made. */
export interface Application<O extends OpName> {
  readonly inputs: readonly Value[];
  readonly attributes: OpAttributes[O];
  readonly output: Value;
}

/**
 * Gradients of the operands, in order; null where nothing flows (indices, conditions).
 * A rule ignores broadcasting: the walker sums each gradient down to its operand's shape.
 */
export type Rule<O extends OpName> = (application: Application<O>, gradient: Value) => readonly (Value | null)[];

const last = (x: Value): number => x.shape.length - 1;
const count = (x: Value, axes: readonly number[]): number => axes.reduce((n, axis) => n * x.shape[axis]!, 1);

/** The table is exhaustive by type: a new op without a rule does not compile. "none": no gradient flows through it. */
export const rules: { readonly [O in OpName]: Rule<O> | "none" } = {
  Add: (_, g) => [g, g],
  Sub: (_, g) => [g, negate(g)],
  Mul: ({ inputs: [a, b] }, g) => [multiply(g, b!), multiply(g, a!)],
  // d(a/b) = da/b − (a/b)·db/b
  Div: ({ inputs: [, b], output }, g) => [divide(g, b!), negate(divide(multiply(g, output), b!))],
  Neg: (_, g) => [negate(g)],
  Exp: ({ output }, g) => [multiply(g, output)],
  Log: ({ inputs: [x] }, g) => [divide(g, x!)],
  // d√x = dx / 2√x
  Sqrt: ({ output }, g) => [divide(g, multiply(output, 2))],
  // d(1/x) = −x⁻² dx
  Reciprocal: ({ output }, g) => [negate(multiply(g, multiply(output, output)))],
  // d erf(x) = 2/√π · exp(−x²) dx
  Erf: ({ inputs: [x] }, g) => [multiply(g, multiply(exp(negate(multiply(x!, x!))), 2 / Math.sqrt(Math.PI)))],
  // d tanh(x) = (1 − tanh²x) dx
  Tanh: ({ output }, g) => [multiply(g, subtract(1, multiply(output, output)))],
  // dσ = σ(1 − σ) dx
  Sigmoid: ({ output }, g) => [multiply(g, multiply(output, subtract(1, output)))],
  // d(x·σ) = σ + x·σ·(1 − σ)
  Silu: ({ inputs: [x], output }, g) => {
    const s = sigmoid(x!);
    return [multiply(g, add(s, multiply(output, subtract(1, s))))];
  },
  // dx = p ⊙ (dp − Σ p⊙dp)
  Softmax: ({ output: p }, g) => [multiply(p, subtract(g, sum(multiply(g, p), [last(p)])))],
  MatMul: ({ inputs: [a, b] }, g) => [matMul(g, swapLast(b!)), rightGradient(a!, b!, g)],
  Transpose: ({ attributes: { permutation } }, g) => [
    transpose(
      g,
      permutation.map((_, i) => permutation.indexOf(i)),
    ),
  ],
  Reshape: ({ inputs: [x] }, g) => [reshape(g, x!.shape)],
  Expand: (_, g) => [g],
  Concat: ({ inputs, attributes: { axis } }, g) =>
    split(
      g,
      axis,
      inputs.map((x) => x.shape[axis]!),
    ),
  Slice: ({ inputs: [x], attributes: { axis, start, end } }, g) => [pad(g, axis, start, x!.shape[axis]! - end)],
  Pad: ({ inputs: [x], attributes: { axis, before } }, g) => [slice(g, axis, before, before + x!.shape[axis]!)],
  ReduceSum: ({ inputs: [x] }, g) => [expand(g, x!.shape)],
  ReduceMean: ({ inputs: [x], attributes: { axes } }, g) => [expand(multiply(g, 1 / count(x!, axes)), x!.shape)],
  // ties share the gradient equally
  ReduceMax: ({ inputs: [x], attributes: { axes }, output }, g) => {
    const isLargest = where(equal(x!, output), 1, 0);
    return [multiply(divide(g, sum(isLargest, axes)), isLargest)];
  },
  Gather: ({ inputs: [table, indices] }, g) => {
    const n = sizeOf(indices!.shape);
    const rows = reshape(cast(indices!, "int64"), [n, 1]);
    return [scatterAdd(zeros(table!.dtype, table!.shape), rows, reshape(g, [n, ...table!.shape.slice(1)])), null];
  },
  ScatterAdd: ({ inputs: [, indices, updates] }, g) => [g, null, gather(g, reshape(indices!, [updates!.shape[0]!]))],
  GatherElements: ({ inputs: [x, indices], attributes: { axis } }, g) => [spread(x!, indices!, axis, g), null],
  Where: ({ inputs: [condition] }, g) => [null, where(condition!, g, 0), where(condition!, 0, g)],
  Cast: ({ inputs: [x] }, g) => [x!.dtype === "float32" || x!.dtype === "float16" ? cast(g, x!.dtype) : null],
  // y = x̂·w with x̂ = x·r, r = (mean x² + ε)^−½;  dx = r(gw − x̂·mean(gw·x̂)), dw = Σ g·x̂
  RmsNorm: ({ inputs: [x, w], attributes: { epsilon } }, g) => {
    const r = reciprocal(sqrt(add(mean(multiply(x!, x!), [last(x!)]), epsilon)));
    const xHat = multiply(x!, r);
    const dw = multiply(g, xHat);
    // its mean with the weights as one product with a column, instead of a second product over all elements
    const width = w!.shape[0]!;
    const column = matMul(reshape(dw, [sizeOf(dw.shape) / width, width]), reshape(w!, [width, 1]));
    const along = multiply(reshape(column, r.shape), 1 / width);
    return [multiply(r, subtract(multiply(g, w!), multiply(xHat, along))), dw];
  },
  // y = x̂·w + b with x̂ = (x − μ)·r;  dx = r(gw − mean gw − x̂·mean(gw·x̂)), dw = Σ g·x̂, db = Σ g
  LayerNorm: ({ inputs: [x, w], attributes: { epsilon } }, g) => {
    const axes = [last(x!)];
    const centred = subtract(x!, mean(x!, axes));
    const r = reciprocal(sqrt(add(mean(multiply(centred, centred), axes), epsilon)));
    const xHat = multiply(centred, r);
    const gw = multiply(g, w!);
    const rest = add(mean(gw, axes), multiply(xHat, mean(multiply(gw, xHat), axes)));
    return [multiply(r, subtract(gw, rest)), multiply(g, xHat), g];
  },
  Equal: "none",
  GreaterOrEqual: "none",
  And: "none",
};

/**
 * dB of A·B: Aᵀ·g. A matrix B shared by a batch takes one product over all rows instead of a batch of them and a sum.
 * Where B is itself a transpose (a linear layer's Wᵀ) the product may be formed as (gᵀ·A)ᵀ: the narrower one is copied.
 */
function rightGradient(a: Value, b: Value, g: Value): Value {
  if (b.shape.length !== 2) return matMul(swapLast(a), g);
  const rows = (x: Value): Value => reshape(x, [sizeOf(x.shape) / x.shape.at(-1)!, x.shape.at(-1)!]);
  return isOp(b, "Transpose") && g.shape.at(-1)! <= a.shape.at(-1)!
    ? swapLast(matMul(transposedCopy(rows(g)), rows(a)))
    : matMul(transposedCopy(rows(a)), rows(g));
}

/** Gradient of x[…, indices, …]: `g` where an index points, zero elsewhere (indices along `axis` of length 1). */
function spread(x: Value, indices: Value, axis: number, g: Value): Value {
  const n = x.shape[axis]!;
  const shape = x.shape.map((_, i) => (i === axis ? n : 1));
  const range = constant(
    tensor(
      "int32",
      shape,
      Int32Array.from({ length: n }, (_, i) => i),
    ),
  );
  const picked = (i: number): Value => {
    const index = cast(slice(indices, axis, i, i + 1), "int32");
    return where(equal(range, index), slice(g, axis, i, i + 1), 0);
  };
  return Array.from({ length: indices.shape[axis]! }, (_, i) => picked(i)).reduce((total, part) => add(total, part));
}
