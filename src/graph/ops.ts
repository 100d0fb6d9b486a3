// The op table: for every op its ONNX form, its attributes, and the rule for its output's dtype and shape.
import { alongAxis, axisOf, broadcast, illegal, matMulShape, operand } from "./shape-rules.ts";
import { type DType, sameShape, type Shape, showShape, sizeOf, type ValueType } from "./tensor.ts";

type None = Readonly<Record<never, never>>;
interface Axis {
  readonly axis: number;
}
interface Axes {
  readonly axes: readonly number[];
}

/** Attributes of every op, in our own terms (axes are never negative). */
export interface OpAttributes {
  readonly Add: None;
  readonly Sub: None;
  readonly Mul: None;
  readonly Div: None;
  readonly Neg: None;
  readonly Exp: None;
  readonly Log: None;
  readonly Sqrt: None;
  readonly Reciprocal: None;
  readonly Erf: None;
  readonly Tanh: None;
  readonly Sigmoid: None;
  readonly Silu: None;
  readonly Softmax: None;
  readonly MatMul: None;
  readonly Transpose: { readonly permutation: readonly number[] };
  readonly Reshape: { readonly shape: Shape };
  readonly Expand: { readonly shape: Shape };
  readonly Concat: Axis;
  readonly Slice: { readonly axis: number; readonly start: number; readonly end: number };
  readonly Pad: { readonly axis: number; readonly before: number; readonly after: number };
  readonly ReduceSum: Axes;
  readonly ReduceMean: Axes;
  readonly ReduceMax: Axes;
  readonly Gather: None;
  readonly ScatterAdd: { readonly rows: number };
  readonly GatherElements: Axis;
  readonly Where: None;
  readonly Equal: None;
  readonly GreaterOrEqual: None;
  readonly And: None;
  readonly Cast: { readonly to: DType };
  readonly RmsNorm: { readonly epsilon: number };
  readonly LayerNorm: { readonly epsilon: number };
}
export type OpName = keyof OpAttributes;

/** ONNX attributes that the encoder writes; lists that ONNX takes as extra inputs are in `constants`. */
export interface OnnxForm {
  readonly type: string;
  readonly domain?: string;
  readonly ints?: Readonly<Record<string, number | readonly number[]>>;
  readonly floats?: Readonly<Record<string, number>>;
  readonly strings?: Readonly<Record<string, string>>;
  /** int64 inputs appended after the operands */
  readonly constants?: readonly (readonly number[])[];
}

interface OpSpec<A> {
  readonly onnx: (attributes: A, output: ValueType, inputs: readonly ValueType[]) => OnnxForm;
  readonly infer: (inputs: readonly ValueType[], attributes: A) => ValueType;
}

const floating: readonly DType[] = ["float32", "float16"];
const integers: readonly DType[] = ["int32", "int64"];

function binary(type: string, result?: DType, operands?: DType): OpSpec<None> {
  return {
    onnx: () => ({ type }),
    infer: (inputs) => {
      const [a, b] = [operand(inputs, 0, type), operand(inputs, 1, type)];
      if (a.dtype !== b.dtype || (operands ?? a.dtype) !== a.dtype)
        illegal(type, operands ?? "equal dtypes", `${a.dtype} and ${b.dtype}`);
      return { dtype: result ?? a.dtype, shape: broadcast(a.shape, b.shape, type) };
    },
  };
}

function unary(type: string): OpSpec<None> {
  return {
    onnx: () => ({ type, ...(type === "Softmax" ? { ints: { axis: -1 } } : {}) }),
    infer: (inputs) => {
      const { dtype, shape } = operand(inputs, 0, type);
      if (!floating.includes(dtype)) illegal(type, "a floating dtype", dtype);
      if (type === "Softmax") axisOf(shape, shape.length - 1, type);
      return { dtype, shape };
    },
  };
}

function reduction(type: "ReduceSum" | "ReduceMean" | "ReduceMax"): OpSpec<Axes> {
  return {
    onnx: ({ axes }) => ({ type, ints: { keepdims: 1 }, constants: [axes] }),
    infer: (inputs, { axes }) => {
      const { dtype, shape } = operand(inputs, 0, type);
      // ONNX takes no axes for all of them
      if (axes.length === 0 || new Set(axes).size !== axes.length) illegal(type, "axes, each once", showShape(axes));
      for (const axis of axes) axisOf(shape, axis, type);
      return { dtype, shape: shape.map((n, i) => (axes.includes(i) ? 1 : n)) };
    },
  };
}

function normalization(
  type: "SimplifiedLayerNormalization" | "LayerNormalization",
  parameters: number,
): OpSpec<{ readonly epsilon: number }> {
  return {
    // SimplifiedLayerNormalization is registered in the default domain of ONNX Runtime
    onnx: ({ epsilon }) => ({ type, ints: { axis: -1 }, floats: { epsilon } }),
    infer: (inputs) => {
      const x = operand(inputs, 0, type);
      for (let i = 1; i <= parameters; i++) {
        const p = operand(inputs, i, type);
        if (p.shape.length !== 1 || p.shape[0] !== x.shape.at(-1) || p.dtype !== x.dtype)
          illegal(type, `a parameter ${x.dtype} [${x.shape.at(-1)}]`, `${p.dtype} ${showShape(p.shape)}`);
      }
      return { dtype: x.dtype, shape: x.shape };
    },
  };
}

/** Every op we build with. Adding an op is a row here, a row in autodiff/rules.ts and a test of each. */
export const ops: { readonly [O in OpName]: OpSpec<OpAttributes[O]> } = {
  Add: binary("Add"),
  Sub: binary("Sub"),
  Mul: binary("Mul"),
  Div: binary("Div"),
  Equal: binary("Equal", "bool"),
  GreaterOrEqual: binary("GreaterOrEqual", "bool"),
  And: binary("And", "bool", "bool"),
  Neg: unary("Neg"),
  Exp: unary("Exp"),
  Log: unary("Log"),
  Sqrt: unary("Sqrt"),
  Reciprocal: unary("Reciprocal"),
  Erf: unary("Erf"),
  Tanh: unary("Tanh"),
  Sigmoid: unary("Sigmoid"),
  // one pass instead of two: x·σ(αx) with α = 1
  Silu: { ...unary("Silu"), onnx: () => ({ type: "QuickGelu", domain: "com.microsoft", floats: { alpha: 1 } }) },
  Softmax: unary("Softmax"),
  RmsNorm: normalization("SimplifiedLayerNormalization", 1),
  LayerNorm: normalization("LayerNormalization", 2),
  MatMul: { onnx: () => ({ type: "MatMul" }), infer: matMulShape },
  ReduceSum: reduction("ReduceSum"),
  ReduceMean: reduction("ReduceMean"),
  ReduceMax: reduction("ReduceMax"),
  Transpose: {
    onnx: ({ permutation }) => ({ type: "Transpose", ints: { perm: permutation } }),
    infer: (inputs, { permutation }) => {
      const { dtype, shape } = operand(inputs, 0, "Transpose");
      if (
        [...permutation].toSorted((a, b) => a - b).some((axis, i) => axis !== i) ||
        permutation.length !== shape.length
      ) {
        illegal("Transpose", `a permutation of ${shape.length} axes`, permutation.join(", "));
      }
      return { dtype, shape: permutation.map((axis) => shape[axis]!) };
    },
  },
  Reshape: {
    onnx: ({ shape }) => ({ type: "Reshape", constants: [shape] }),
    infer: (inputs, { shape }) => {
      const x = operand(inputs, 0, "Reshape");
      // ONNX reads 0 and −1 as "copy" and "whatever is left"
      if (sizeOf(x.shape) !== sizeOf(shape) || shape.some((n) => n < 1))
        illegal("Reshape", `${sizeOf(x.shape)} elements, no length below 1`, showShape(shape));
      return { dtype: x.dtype, shape };
    },
  },
  Expand: {
    onnx: ({ shape }) => ({ type: "Expand", constants: [shape] }),
    infer: (inputs, { shape }) => {
      const x = operand(inputs, 0, "Expand");
      return { dtype: x.dtype, shape: broadcast(x.shape, shape, "Expand") };
    },
  },
  Concat: {
    onnx: ({ axis }) => ({ type: "Concat", ints: { axis } }),
    infer: (inputs, { axis }) => {
      const first = operand(inputs, 0, "Concat");
      axisOf(first.shape, axis, "Concat");
      for (const { dtype, shape } of inputs) {
        if (dtype !== first.dtype) illegal("Concat", first.dtype, dtype);
        if (showShape(alongAxis(shape, axis, 0)) !== showShape(alongAxis(first.shape, axis, 0))) {
          illegal("Concat", `shapes equal but for axis ${axis}`, inputs.map((x) => showShape(x.shape)).join(" "));
        }
      }
      return {
        dtype: first.dtype,
        shape: alongAxis(
          first.shape,
          axis,
          inputs.reduce((sum, x) => sum + x.shape[axis]!, 0),
        ),
      };
    },
  },
  Slice: {
    onnx: ({ axis, start, end }) => ({ type: "Slice", constants: [[start], [end], [axis]] }),
    infer: (inputs, { axis, start, end }) => {
      const { dtype, shape } = operand(inputs, 0, "Slice");
      if (!(0 <= start && start < end && end <= shape[axis]!))
        illegal("Slice", `a range of axis ${axis} of ${showShape(shape)}`, `${start}..${end}`);
      return { dtype, shape: alongAxis(shape, axis, end - start) };
    },
  },
  Pad: {
    onnx: ({ axis, before, after }, { shape }) => ({
      type: "Pad",
      constants: [
        [...shape.map((_, i) => (i === axis ? before : 0)), ...shape.map((_, i) => (i === axis ? after : 0))],
      ],
    }),
    infer: (inputs, { axis, before, after }) => {
      const { dtype, shape } = operand(inputs, 0, "Pad");
      const n = axisOf(shape, axis, "Pad");
      if (before < 0 || after < 0) illegal("Pad", "lengths of at least 0", `${before} and ${after}`);
      return { dtype, shape: alongAxis(shape, axis, n + before + after) };
    },
  },
  Gather: {
    onnx: () => ({ type: "Gather", ints: { axis: 0 } }),
    infer: (inputs) => {
      const [table, indices] = [operand(inputs, 0, "Gather"), operand(inputs, 1, "Gather")];
      if (!integers.includes(indices.dtype)) illegal("Gather", "integer indices", indices.dtype);
      axisOf(table.shape, 0, "Gather");
      return { dtype: table.dtype, shape: [...indices.shape, ...table.shape.slice(1)] };
    },
  },
  // gathers' transpose: rows of `updates` added into zeros at int64 indices [N, 1]
  ScatterAdd: {
    onnx: () => ({ type: "ScatterND", strings: { reduction: "add" } }),
    infer: (inputs, { rows }) => {
      const zeros = operand(inputs, 0, "ScatterAdd");
      const [indices, updates] = [operand(inputs, 1, "ScatterAdd"), operand(inputs, 2, "ScatterAdd")];
      if (zeros.shape[0] !== rows) illegal("ScatterAdd", `${rows} rows`, showShape(zeros.shape));
      const n = updates.shape[0] ?? 0;
      if (indices.dtype !== "int64" || !sameShape(indices.shape, [n, 1]))
        illegal("ScatterAdd", `indices int64 [${n}, 1]`, `${indices.dtype} ${showShape(indices.shape)}`);
      if (updates.dtype !== zeros.dtype || !sameShape(updates.shape, alongAxis(zeros.shape, 0, n)))
        illegal(
          "ScatterAdd",
          `rows of ${zeros.dtype} ${showShape(zeros.shape)}`,
          `${updates.dtype} ${showShape(updates.shape)}`,
        );
      return { dtype: zeros.dtype, shape: zeros.shape };
    },
  },
  GatherElements: {
    onnx: ({ axis }) => ({ type: "GatherElements", ints: { axis } }),
    infer: (inputs, { axis }) => {
      const [x, indices] = [operand(inputs, 0, "GatherElements"), operand(inputs, 1, "GatherElements")];
      if (!integers.includes(indices.dtype)) illegal("GatherElements", "integer indices", indices.dtype);
      axisOf(x.shape, axis, "GatherElements");
      // ONNX lets other axes be shorter; the gradient would have to pad them
      if (!sameShape(alongAxis(x.shape, axis, 0), alongAxis(indices.shape, axis, 0)))
        illegal("GatherElements", `${showShape(x.shape)} but for axis ${axis}`, showShape(indices.shape));
      return { dtype: x.dtype, shape: indices.shape };
    },
  },
  Where: {
    onnx: () => ({ type: "Where" }),
    infer: (inputs) => {
      const [condition, a, b] = [operand(inputs, 0, "Where"), operand(inputs, 1, "Where"), operand(inputs, 2, "Where")];
      if (condition.dtype !== "bool" || a.dtype !== b.dtype)
        illegal("Where", "a bool condition and equal dtypes", `${condition.dtype}, ${a.dtype}, ${b.dtype}`);
      return { dtype: a.dtype, shape: broadcast(condition.shape, broadcast(a.shape, b.shape, "Where"), "Where") };
    },
  },
  Cast: {
    onnx: ({ to }) => ({ type: "Cast", ints: { to: onnxTypes[to] } }),
    infer: (inputs, { to }) => ({ dtype: to, shape: operand(inputs, 0, "Cast").shape }),
  },
};

/** ONNX TensorProto.DataType numbers (onnx.proto). */
export const onnxTypes: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
};
