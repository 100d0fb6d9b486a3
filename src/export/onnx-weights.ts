// How weights lie in the ONNX files: float32, float16 that is widened when it is used, or blocks of 8 or 4 bits.
import { float16Table, float32ToFloat16 } from "../formats/half.ts";
import type { PartWeights } from "../models/weights.ts";
import type { OnnxGraph, OnnxType } from "../graph/onnx-model.ts";

/** The variants by transformers.js's names. Sums are float32 in all of them. */
export const variants = ["fp32", "fp16", "q8", "q4"] as const;
export type Variant = (typeof variants)[number];

const BLOCK = 32;
const elementBytes = { float32: 4, float16: 2 } as const;

/** Puts a part's weights into a graph. */
export class WeightWriter {
  readonly #graph: OnnxGraph;
  readonly #weights: PartWeights;
  readonly #variant: Variant;

  constructor(graph: OnnxGraph, weights: PartWeights, variant: Variant) {
    this.#graph = graph;
    this.#weights = weights;
    this.#variant = variant;
  }

  /** a weight as it is, another shape where one is given; vectors are float32 always */
  plain(name: string, shape: readonly number[] = this.#weights.shapes.get(name)!): string {
    const exact = this.#weights.shapes.get(name)!.length < 2;
    return this.#floats(name, shape, this.#variant === "fp32" || exact ? "float32" : "float16", (x) => x);
  }

  /** x · Wᵀ (+ b), W [out, in] */
  linear(x: string, name: string, bias?: string): string {
    const [out, input] = this.#weights.shapes.get(name)! as [number, number];
    const blocks = (this.#variant === "q8" || this.#variant === "q4") && input % BLOCK === 0;
    const product = blocks ? this.#blockProduct(x, name, out, input) : this.#floatProduct(x, name, out, input);
    return bias === undefined ? product : this.#graph.node("Add", [product, this.plain(bias)]);
  }

  #floatProduct(x: string, name: string, out: number, input: number): string {
    const type = this.#variant === "fp32" ? "float32" : "float16";
    const weight = this.#floats(name, [input, out], type, (w) => transposed(w, out, input));
    return this.#graph.node("MatMul", [x, weight]);
  }

  #floats(
    name: string,
    shape: readonly number[],
    type: "float32" | "float16",
    change: (values: Float32Array) => Float32Array,
  ): string {
    const elements = shape.reduce((product, n) => product * n, 1);
    const stored = this.#graph.weight({
      name: `${name}${type === "float16" ? ".half" : ""}`,
      type,
      shape,
      byteLength: elements * elementBytes[type],
      data: async () => {
        const values = change(await this.#weights.load(name));
        return bytesOf(type === "float16" ? float32ToFloat16(values) : values);
      },
    });
    return type === "float32" ? stored : this.#graph.node("Cast", [stored], { ints: { to: 1 } });
  }

  /** com.microsoft's MatMulNBits: blocks along the input, codes about the middle of their range */
  #blockProduct(x: string, name: string, out: number, input: number): string {
    const bits = this.#variant === "q4" ? 4 : 8;
    const count = input / BLOCK;
    let made: Promise<Blocks> | undefined;
    const blocks = (): Promise<Blocks> => (made ??= this.#weights.load(name).then((w) => quantise(w, bits)));
    const bytes = (BLOCK * bits) / 8;
    const part = (
      suffix: string,
      type: OnnxType,
      shape: readonly number[],
      byteLength: number,
      data: () => Promise<Uint8Array>,
    ): string => this.#graph.weight({ name: `${name}.${suffix}`, type, shape, byteLength, data });
    const codes = part("codes", "uint8", [out, count, bytes], out * count * bytes, async () => (await blocks()).codes);
    const scales = part("scales", "float32", [out * count], out * count * 4, async () => {
      const { scales: values } = await blocks();
      // both were asked for: the blocks are of no more use
      made = undefined;
      return bytesOf(values);
    });
    // level 4: the input is rounded to eight bits as well, for which there are fast kernels
    const ints = { K: input, N: out, bits, block_size: BLOCK, accuracy_level: 4 };
    return this.#graph.node("MatMulNBits", [x, codes, scales], { domain: "com.microsoft", ints });
  }
}

interface Blocks {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
}

/** Codes are round(x / scale) + 8 or + 128; the value of largest magnitude gets the lowest code. */
function quantise(values: Float32Array, bits: 4 | 8): Blocks {
  const middle = 1 << (bits - 1);
  const scales = new Float32Array(values.length / BLOCK);
  const codes = new Uint8Array((values.length * bits) / 8);
  const half = float16Table();
  for (let block = 0, start = 0; start < values.length; block++, start += BLOCK) {
    let peak = 0;
    for (let i = start; i < start + BLOCK; i++) if (Math.abs(values[i]!) > Math.abs(peak)) peak = values[i]!;
    const scale = half[float32ToFloat16(Float32Array.of(peak / -middle))[0]!]!;
    scales[block] = scale;
    const inverse = scale === 0 ? 0 : 1 / scale;
    for (let i = start; i < start + BLOCK; i++) {
      const code = Math.max(0, Math.min(2 * middle - 1, Math.round(values[i]! * inverse) + middle));
      if (bits === 8) codes[i] = code;
      else codes[i >> 1] = codes[i >> 1]! | (code << (4 * (i & 1)));
    }
  }
  return { codes, scales };
}

function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c]!;
  return out;
}

const bytesOf = (view: ArrayBufferView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
