// The language model's matrices as blocks of few bits in an ONNX file; several that read one input lie together.
import { type Bits, type NBits, nbitsSizes, packBlocks, packRows } from "../formats/nbits.ts";
import { blockElements } from "../formats/q4.ts";
import type { OnnxGraph, OnnxType } from "../graph/onnx-model.ts";
import type { PartWeights } from "../models/weights.ts";

/** Puts weights into a graph; their values are read when the graph is written. */
export class BlockWeights {
  readonly #graph: OnnxGraph;
  readonly #weights: PartWeights;
  readonly #onLoad: (name: string) => void;

  /** `onLoad` is told of each weight whose values have been read */
  constructor(graph: OnnxGraph, weights: PartWeights, onLoad: (name: string) => void = () => undefined) {
    this.#graph = graph;
    this.#weights = weights;
    this.#onLoad = onLoad;
  }

  /** A vector in float32; several one after the other. */
  vector(...names: readonly string[]): string {
    const length = names.reduce((sum, name) => sum + this.#weights.shapes.get(name)![0]!, 0);
    const data = async (): Promise<Uint8Array> => {
      const parts: Uint8Array[] = [];
      for (const name of names) parts.push(bytesOf(await this.#load(name)));
      return joined(parts);
    };
    return this.#graph.weight({
      name: names.join("+"),
      type: "float32",
      shape: [length],
      byteLength: length * 4,
      data,
    });
  }

  /** x · Wᵀ (+ b) for matrices [N, K] of one K: x […, K] → […, ΣN]. */
  linear(x: string, names: readonly string[], bits: Bits, biases: readonly string[] = []): string {
    const shapes = names.map((name) => this.#weights.shapes.get(name)! as readonly [number, number]);
    const columns = shapes[0]![1];
    const rows = shapes.reduce((sum, [n]) => sum + n, 0);
    const { blocks, codeBytes, scales, zeroBytes } = nbitsSizes(rows, columns, bits);
    const parts = this.#once(async () => {
      const packed: NBits[] = [];
      for (const name of names) packed.push(await this.#pack(name, bits));
      return packed;
    }, 3);
    const part = (suffix: string, type: OnnxType, shape: readonly number[], byteLength: number, of: keyof NBits) =>
      this.#graph.weight({
        ...{ name: `${names.join("+")}.${suffix}`, type, shape, byteLength },
        data: async () => joined((await parts()).map((each) => bytesOf(each[of]))),
      });
    const inputs = [
      x,
      part("codes", "uint8", [rows, blocks, 4 * bits], codeBytes, "codes"),
      part("scales", "float32", [scales], scales * 4, "scales"),
      part("zeros", "uint8", [zeroBytes], zeroBytes, "zeroPoints"),
      ...(biases.length === 0 ? [] : ["", this.vector(...biases)]),
    ];
    // level 4: the input is rounded to eight bits as well, for which there are fast kernels
    const ints = { K: columns, N: rows, bits, block_size: blockElements, accuracy_level: 4 };
    return this.#graph.node("MatMulNBits", inputs, { domain: "com.microsoft", ints });
  }

  async #pack(name: string, bits: Bits): Promise<NBits> {
    const [rows, columns] = this.#weights.shapes.get(name)! as readonly [number, number];
    const stored = bits === 4 && columns % blockElements === 0 ? await this.#weights.blocks?.(name) : undefined;
    const kept = stored && packBlocks(stored, rows, columns);
    if (kept === undefined) return packRows(await this.#load(name), rows, columns, bits);
    this.#onLoad(name);
    return kept;
  }

  async #load(name: string): Promise<Float32Array> {
    const values = await this.#weights.load(name);
    this.#onLoad(name);
    return values;
  }

  /** What `make` made, kept until it was asked for so many times. */
  #once<T>(make: () => Promise<T>, times: number): () => Promise<T> {
    let made: Promise<T> | undefined;
    let left = times;
    return () => {
      const value = (made ??= make());
      left--;
      if (left === 0) [made, left] = [undefined, times];
      return value;
    };
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const bytesOf = (view: ArrayBufferView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
