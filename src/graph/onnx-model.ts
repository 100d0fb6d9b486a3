// ONNX files with axes of any length: nodes by name, weights that are loaded when they are written (onnx.proto's fields).
import { ProtoWriter } from "../formats/protobuf.ts";
import type { ByteStream } from "../formats/byte-source.ts";
import type { NamedType } from "./graph.ts";
import { type EncodeOptions, sequenceOutput, writeSequenceInfo } from "./encode.ts";

const irVersion = 10;
const opset = 21;
/** onnx.proto, TensorProto.DataType */
const types = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9, float16: 10 } as const;
export type OnnxType = keyof typeof types;
/** a length, or the name of one that each run decides */
type Dim = number | string;

export interface OnnxWeight {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly number[];
  readonly byteLength: number;
  readonly data: () => Promise<Uint8Array>;
}

export interface NodeOptions {
  readonly ints?: Readonly<Record<string, number | readonly number[]>>;
  readonly floats?: Readonly<Record<string, number>>;
  readonly strings?: Readonly<Record<string, string>>;
  readonly domain?: string;
  /** the name of the output, where it is the graph's */
  readonly output?: string | undefined;
  /** how many outputs; one unless told */
  readonly outputs?: number;
  /** names of outputs that are the graph's, by their places */
  readonly names?: readonly (string | undefined)[];
  /** places of outputs that nobody reads */
  readonly unread?: readonly number[];
}

interface Border {
  readonly name: string;
  readonly type: OnnxType;
  readonly dims: readonly Dim[];
}

/** A graph under construction; values are their names. */
export class OnnxGraph {
  readonly weights: OnnxWeight[] = [];
  /** for an engine that writes outputs in place: see `EncodeOptions` */
  readonly leadingSequence: boolean;
  readonly #name: string;
  readonly #inputs: Border[] = [];
  readonly #outputs: Border[] = [];
  readonly #nodes: ((writer: ProtoWriter) => void)[] = [];
  readonly #constants = new Map<string, string>();
  #values = 0;

  constructor(name: string, { leadingSequence = false }: EncodeOptions = {}) {
    this.#name = name;
    this.leadingSequence = leadingSequence;
    if (leadingSequence) this.node("SequenceConstruct", [this.floats([0], [1])], { output: sequenceOutput });
  }

  /** what a run takes, in order; −1 for lengths that it decides */
  get inputs(): NamedType[] {
    return this.#inputs.map(namedType);
  }

  get outputs(): NamedType[] {
    return this.#outputs.map(namedType);
  }

  input(name: string, type: OnnxType, dims: readonly Dim[]): string {
    this.#inputs.push({ name, type, dims });
    return name;
  }

  output(name: string, type: OnnxType, dims: readonly Dim[]): void {
    this.#outputs.push({ name, type, dims });
  }

  weight(weight: OnnxWeight): string {
    this.weights.push(weight);
    return weight.name;
  }

  ints(values: readonly number[]): string {
    const data = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    return this.#constant("int64", values, [values.length], data);
  }

  /** a scalar int64, as Range wants */
  int(value: number): string {
    return this.#constant("int64", value, [], new Uint8Array(BigInt64Array.of(BigInt(value)).buffer));
  }

  floats(values: readonly number[], shape: readonly number[] = []): string {
    return this.#constant("float32", values, shape, new Uint8Array(Float32Array.from(values).buffer));
  }

  #constant(type: OnnxType, key: unknown, shape: readonly number[], bytes: Uint8Array): string {
    const known = JSON.stringify([type, key, shape]);
    const name = this.#constants.get(known) ?? `constant_${this.#constants.size}`;
    if (!this.#constants.has(known)) {
      this.#constants.set(known, name);
      this.weight({ name, type, shape, byteLength: bytes.length, data: () => Promise.resolve(bytes) });
    }
    return name;
  }

  /** Adds a node; returns the name of its output. */
  node(type: string, inputs: readonly string[], options: NodeOptions = {}): string {
    return this.nodes(type, inputs, options)[0]!;
  }

  nodes(type: string, inputs: readonly string[], options: NodeOptions = {}): string[] {
    const { output, names: given = [output], outputs = 1, unread = [] } = options;
    const name = (i: number): string => (unread.includes(i) ? "" : (given[i] ?? `value_${this.#values++}`));
    const names = Array.from({ length: outputs }, (_, i) => name(i));
    this.#nodes.push((writer) => writeNode(writer, type, inputs, names, options));
    return names;
  }

  /** The model's bytes; `place` says where a weight lies when it is not inside. */
  async encode(place: (weight: OnnxWeight) => ExternalPlace | undefined): Promise<Uint8Array> {
    const inside = new Map<OnnxWeight, Uint8Array>();
    for (const weight of this.weights) if (place(weight) === undefined) inside.set(weight, await weight.data());
    return new ProtoWriter()
      .varint(1, irVersion)
      .string(2, "llava-ts")
      .message(7, (graph) => {
        for (const write of this.#nodes) graph.message(1, write);
        graph.string(2, this.#name);
        for (const weight of this.weights) {
          graph.message(5, (w) => writeWeight(w, weight, inside.get(weight) ?? place(weight)!));
        }
        for (const border of this.#inputs) graph.message(11, (w) => writeBorder(w, border));
        if (this.leadingSequence) graph.message(12, writeSequenceInfo);
        for (const border of this.#outputs) graph.message(12, (w) => writeBorder(w, border));
      })
      .message(8, (writer) => writer.string(1, "").varint(2, opset))
      .message(8, (writer) => writer.string(1, "com.microsoft").varint(2, 1))
      .finish();
  }
}

/** A file beside the model, and where in it a weight begins. */
export interface ExternalPlace {
  readonly file: string;
  readonly offset: number;
}

export interface OnnxFile {
  readonly name: string;
  readonly content: Uint8Array | ByteStream;
}

/** Weights smaller than this stay in the model's own file, which shape inference reads. */
const SMALL = 1024;
/** Models up to this size are one file. */
const ONE_FILE = 2 ** 30;
/** Browsers hold no more in one buffer. */
const CHUNK = 1.9e9;

/** The files of a model: one, or with weights in `NAME_data`, `NAME_data_1`, … as transformers.js asks for them. */
export async function* onnxFiles(
  graph: OnnxGraph,
  name: string,
  { oneFile = ONE_FILE, chunk = CHUNK }: { readonly oneFile?: number; readonly chunk?: number } = {},
): AsyncGenerator<OnnxFile> {
  const total = graph.weights.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const places = new Map<OnnxWeight, ExternalPlace>();
  const chunks: { readonly name: string; readonly weights: OnnxWeight[]; size: number }[] = [];
  for (const weight of total > oneFile ? graph.weights : []) {
    if (weight.byteLength < SMALL) continue;
    let last = chunks.at(-1);
    if (last === undefined || last.size + weight.byteLength > chunk) {
      last = { name: `${name}_data${chunks.length === 0 ? "" : `_${chunks.length}`}`, weights: [], size: 0 };
      chunks.push(last);
    }
    places.set(weight, { file: last.name, offset: last.size });
    last.weights.push(weight);
    last.size += weight.byteLength;
  }
  yield { name, content: await graph.encode((weight) => places.get(weight)) };
  for (const { name: file, weights, size } of chunks) yield { name: file, content: { size, chunks: dataOf(weights) } };
}

async function* dataOf(weights: readonly OnnxWeight[]): AsyncGenerator<Uint8Array> {
  for (const weight of weights) yield await weight.data();
}

function writeNode(
  node: ProtoWriter,
  type: string,
  inputs: readonly string[],
  outputs: readonly string[],
  { ints = {}, floats = {}, strings = {}, domain }: NodeOptions,
): void {
  for (const name of inputs) node.string(1, name);
  for (const name of outputs) node.string(2, name);
  node.string(3, `${type}:${outputs[0]!}`).string(4, type);
  for (const [name, x] of Object.entries(ints)) {
    if (typeof x === "number") node.message(5, (w) => w.string(1, name).varint(3, x).varint(20, 2));
    else node.message(5, (w) => (x.forEach((n) => w.varint(8, n)), w.string(1, name).varint(20, 7)));
  }
  for (const [name, x] of Object.entries(floats)) node.message(5, (w) => w.string(1, name).float(2, x).varint(20, 1));
  for (const [name, x] of Object.entries(strings)) node.message(5, (w) => w.string(1, name).string(4, x).varint(20, 3));
  if (domain !== undefined) node.string(7, domain);
}

function writeWeight(
  writer: ProtoWriter,
  { name, type, shape, byteLength }: OnnxWeight,
  at: Uint8Array | ExternalPlace,
): void {
  for (const n of shape) writer.varint(1, n);
  writer.varint(2, types[type]).string(8, name);
  if (at instanceof Uint8Array) {
    writer.bytes(9, at);
    return;
  }
  const entries = { location: at.file, offset: String(at.offset), length: String(byteLength) };
  for (const [key, value] of Object.entries(entries)) writer.message(13, (w) => w.string(1, key).string(2, value));
  writer.varint(14, 1);
}

function namedType({ name, type, dims }: Border): NamedType {
  return { name, dtype: type, shape: dims.map((n) => (typeof n === "number" ? n : -1)) };
}

function writeBorder(writer: ProtoWriter, { name, type, dims }: Border): void {
  writer.string(1, name).message(2, (value) =>
    value.message(1, (tensor) =>
      tensor.varint(1, types[type]).message(2, (shape) => {
        for (const n of dims) shape.message(1, (dim) => (typeof n === "number" ? dim.varint(1, n) : dim.string(2, n)));
      }),
    ),
  );
}
