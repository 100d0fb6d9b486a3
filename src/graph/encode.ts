// Graph → ONNX bytes (opset 21 plus com.microsoft), following onnx.proto's field numbers.
import { ProtoWriter } from "../formats/protobuf.ts";
import type { Graph, NamedType, OpNode, Value } from "./graph.ts";
import { type OnnxForm, onnxTypes, ops } from "./ops.ts";
import { type Tensor, tensor, type ValueType } from "./tensor.ts";

const irVersion = 10;
const opset = 21;

export interface EncodeOptions {
  /** adds a sequence named `sequenceOutput` as the first output: see runtime/zero-copy-node.ts for why */
  readonly leadingSequence?: boolean;
}
export const sequenceOutput = "__sequence";

interface Names {
  readonly of: (value: Value) => string;
}

/** The bytes of an ONNX model; inputs and outputs keep the graph's names and order. */
export function encodeModel(graph: Graph, options: EncodeOptions = {}): Uint8Array {
  return new ProtoWriter()
    .varint(1, irVersion)
    .string(2, "llava-ts")
    .message(7, (writer) => writeGraph(writer, graph, options.leadingSequence ?? false))
    .message(8, (writer) => writer.string(1, "").varint(2, opset))
    .message(8, (writer) => writer.string(1, "com.microsoft").varint(2, 1))
    .finish();
}

function writeGraph(writer: ProtoWriter, graph: Graph, leadingSequence: boolean): void {
  const names = nameValues(graph);
  for (const value of graph.values) {
    if (value.node.kind === "op") writeOp(writer, value, value.node, names);
  }
  // an output that is itself an input or a second name of a value needs an Identity to carry the name
  for (const { name, value } of graph.outputs) {
    if (names.of(value) !== name) writeNode(writer, { type: "Identity" }, [names.of(value)], name);
  }
  if (leadingSequence) {
    writeTensor(writer, "__one", tensor("float32", [1]));
    writeNode(writer, { type: "SequenceConstruct" }, ["__one"], sequenceOutput);
  }
  writer.string(2, graph.name);
  for (const value of graph.values) {
    if (value.node.kind === "constant") writeTensor(writer, names.of(value), value.node.tensor);
  }
  for (const input of graph.inputs) writer.message(11, (w) => writeValueInfo(w, input));
  if (leadingSequence) writer.message(12, writeSequenceInfo);
  for (const output of graph.outputs) writer.message(12, (w) => writeValueInfo(w, output));
}

/** Inside, names begin with "__": graph() keeps those free. */
function nameValues(graph: Graph): Names {
  const names = new Map<Value, string>();
  for (const { name, value } of graph.outputs) {
    if (value.node.kind === "op" && !names.has(value)) names.set(value, name);
  }
  graph.values.forEach((value, i) => {
    if (value.node.kind === "input") names.set(value, value.node.name);
    else if (!names.has(value)) names.set(value, `__${i}`);
  });
  return { of: (value) => names.get(value)! };
}

function writeOp(writer: ProtoWriter, value: Value, node: OpNode, names: Names): void {
  const form = ops[node.op].onnx(node.attributes as never, value, node.inputs);
  const output = names.of(value);
  const constants = (form.constants ?? []).map((list, i) => {
    const name = `__${output}__${i}`;
    writeTensor(writer, name, tensor("int64", [list.length], BigInt64Array.from(list, BigInt)));
    return name;
  });
  writeNode(writer, form, [...node.inputs.map(names.of), ...constants], output);
}

function writeNode(writer: ProtoWriter, form: OnnxForm, inputs: readonly string[], output: string): void {
  writer.message(1, (node) => {
    for (const name of inputs) node.string(1, name);
    node.string(2, output).string(3, `${form.type}:${output}`).string(4, form.type);
    for (const [name, x] of Object.entries(form.ints ?? {})) {
      if (typeof x === "number") node.message(5, (w) => w.string(1, name).varint(3, x).varint(20, 2));
      else node.message(5, (w) => (x.forEach((n) => w.varint(8, n)), w.string(1, name).varint(20, 7)));
    }
    for (const [name, x] of Object.entries(form.floats ?? {}))
      node.message(5, (w) => w.string(1, name).float(2, x).varint(20, 1));
    for (const [name, x] of Object.entries(form.strings ?? {}))
      node.message(5, (w) => w.string(1, name).string(4, x).varint(20, 3));
    if (form.domain !== undefined) node.string(7, form.domain);
  });
}

function writeTensor(writer: ProtoWriter, name: string, { dtype, shape, data }: Tensor): void {
  writer.message(5, (w) => {
    for (const n of shape) w.varint(1, n);
    w.varint(2, onnxTypes[dtype])
      .string(8, name)
      .bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  });
}

function writeValueInfo(writer: ProtoWriter, { name, dtype, shape }: NamedType): void {
  writer.string(1, name).message(2, (w) => writeTensorType(w, { dtype, shape }));
}

function writeTensorType(writer: ProtoWriter, { dtype, shape }: ValueType): void {
  writer.message(1, (type) => {
    type.varint(1, onnxTypes[dtype]).message(2, (dims) => {
      for (const n of shape) dims.message(1, (dim) => dim.varint(1, n));
    });
  });
}

/** What is said of the leading sequence among a graph's outputs. */
export function writeSequenceInfo(writer: ProtoWriter): void {
  writer.string(1, sequenceOutput).message(2, (type) => {
    type.message(4, (sequence) =>
      sequence.message(1, (element) => writeTensorType(element, { dtype: "float32", shape: [1] })),
    );
  });
}
