// The legality table: which ops a backend can run in which dtypes, so that no graph falls back or fails late.
import { BugError } from "../errors.ts";
import type { Graph } from "./graph.ts";
import { type OpName, ops } from "./ops.ts";
import { type DType, sameShape, showShape } from "./tensor.ts";

export type Backend = "cpu" | "webgpu";

const f: readonly DType[] = ["float32", "float16"];
const movable: readonly DType[] = ["float32", "float16", "int32", "int64", "bool", "uint8"];
const integers: readonly DType[] = ["int32", "int64"];
const onGpu: readonly DType[] = ["float32", "float16", "int32"];

/**
 * Dtypes of the operands that carry data, by backend (ONNX Runtime 1.30). The CPU column is tested by running it;
 * int64 arithmetic has no WebGPU kernel.
 */
const legal: { readonly [O in OpName]: Readonly<Record<Backend, readonly DType[]>> } = {
  Add: { cpu: [...f, ...integers], webgpu: onGpu },
  Sub: { cpu: [...f, ...integers], webgpu: onGpu },
  Mul: { cpu: [...f, ...integers], webgpu: onGpu },
  Div: { cpu: [...f, ...integers], webgpu: onGpu },
  Neg: { cpu: f, webgpu: f },
  Exp: { cpu: f, webgpu: f },
  Log: { cpu: f, webgpu: f },
  Sqrt: { cpu: f, webgpu: f },
  Reciprocal: { cpu: f, webgpu: f },
  Erf: { cpu: f, webgpu: f },
  Tanh: { cpu: f, webgpu: f },
  Sigmoid: { cpu: f, webgpu: f },
  Silu: { cpu: f, webgpu: f },
  Softmax: { cpu: f, webgpu: f },
  MatMul: { cpu: f, webgpu: f },
  Transpose: { cpu: movable, webgpu: onGpu },
  Reshape: { cpu: movable, webgpu: onGpu },
  Expand: { cpu: movable, webgpu: onGpu },
  Concat: { cpu: movable, webgpu: onGpu },
  Slice: { cpu: movable, webgpu: onGpu },
  Pad: { cpu: f, webgpu: f },
  ReduceSum: { cpu: f, webgpu: f },
  ReduceMean: { cpu: f, webgpu: f },
  ReduceMax: { cpu: f, webgpu: f },
  Gather: { cpu: movable, webgpu: onGpu },
  ScatterAdd: { cpu: ["float32", "int64"], webgpu: f },
  GatherElements: { cpu: movable, webgpu: onGpu },
  Where: { cpu: [...f, ...integers, "uint8"], webgpu: [...onGpu, "bool"] },
  Equal: { cpu: [...f, ...integers], webgpu: onGpu },
  GreaterOrEqual: { cpu: [...f, ...integers], webgpu: onGpu },
  And: { cpu: ["bool"], webgpu: ["bool"] },
  Cast: { cpu: [...movable, "int8"], webgpu: [...onGpu, "bool"] },
  RmsNorm: { cpu: f, webgpu: f },
  LayerNorm: { cpu: f, webgpu: f },
};

/** Operands that choose instead of carrying data: their dtype is the shape rule's business, and every backend takes it. */
const choosers: Partial<Readonly<Record<OpName, number>>> = { Where: 0, Gather: 1, GatherElements: 1, ScatterAdd: 1 };

/** Throws `GRAPH_ILLEGAL` naming the first op whose operands the backend can't run, or whose recorded type is not what its rule says. */
export function checkGraph(graph: Graph, backend: Backend): void {
  graph.values.forEach(({ node, dtype, shape }, index) => {
    if (node.kind !== "op") return;
    const fail = (expected: string, got: string): never => {
      throw new BugError("GRAPH_ILLEGAL", {
        expected,
        got,
        where: `graph ${graph.name}, value ${index}, op ${node.op}`,
      });
    };
    const allowed = legal[node.op][backend];
    const used = node.inputs.filter((_, i) => i !== choosers[node.op]).map((x) => x.dtype);
    // what a cast makes needs a kernel too
    for (const one of node.op === "Cast" ? [...used, dtype] : used) {
      if (!allowed.includes(one)) fail(`${allowed.join(" or ")} on ${backend}`, one);
    }
    const inferred = ops[node.op].infer(node.inputs, node.attributes as never);
    if (inferred.dtype !== dtype || !sameShape(inferred.shape, shape)) {
      fail(`${inferred.dtype} ${showShape(inferred.shape)}`, `${dtype} ${showShape(shape)}`);
    }
  });
}
