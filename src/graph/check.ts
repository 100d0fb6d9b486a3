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

/** Operand dtypes by backend; measured on ONNX Runtime 1.30 (docs/decisions/engine.md). int64 arithmetic has no WebGPU kernel. */
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
  Gather: { cpu: movable, webgpu: [...onGpu, "int64"] },
  ScatterAdd: { cpu: ["float32", "int64"], webgpu: [...f, "int64"] },
  GatherElements: { cpu: movable, webgpu: [...onGpu, "int64"] },
  Where: { cpu: [...f, "bool", "int64"], webgpu: [...onGpu, "bool"] },
  Equal: { cpu: [...f, ...integers], webgpu: onGpu },
  GreaterOrEqual: { cpu: [...f, ...integers], webgpu: onGpu },
  And: { cpu: ["bool"], webgpu: ["bool"] },
  Cast: { cpu: movable, webgpu: [...onGpu, "bool"] },
  RmsNorm: { cpu: f, webgpu: f },
  LayerNorm: { cpu: f, webgpu: f },
};

/** Throws `GRAPH_ILLEGAL` naming the first op whose operands the backend can't run, or whose recorded type is not what its rule says. */
export function checkGraph(graph: Graph, backend: Backend): void {
  graph.values.forEach((value, index) => {
    const { node } = value;
    if (node.kind !== "op") return;
    const where = `graph ${graph.name}, value ${index}, op ${node.op}`;
    for (const { dtype } of node.inputs) {
      if (dtype === "bool" && node.op === "Where") continue;
      if (!legal[node.op][backend].includes(dtype)) {
        throw new BugError("GRAPH_ILLEGAL", {
          expected: `${legal[node.op][backend].join(" or ")} on ${backend}`,
          got: dtype,
          where,
        });
      }
    }
    const inferred = ops[node.op].infer(node.inputs, node.attributes as never);
    if (inferred.dtype !== value.dtype || !sameShape(inferred.shape, value.shape)) {
      throw new BugError("GRAPH_ILLEGAL", {
        expected: `${inferred.dtype} ${showShape(inferred.shape)}`,
        got: `${value.dtype} ${showShape(value.shape)}`,
        where,
      });
    }
  });
}
