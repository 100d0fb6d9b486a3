// Blocks of quantised weights → float32 (layouts: ggml-common.h and ggml-quants.c of github.com/ggml-org/llama.cpp).
import { InputError } from "../errors.ts";
import { blockLayout, type GgufType } from "./gguf-types.ts";
import { bfloat16ToFloat32, float16Table, float16ToFloat32 } from "./half.ts";

/** Fills `y` from the blocks `x`. In all of them `p` walks through bytes, `o` through outputs. */
type Kernel = (x: Uint8Array, y: Float32Array) => void;

/**
 * The float32 values of whole blocks, equal to the `gguf` Python package's `dequantize`.
 * `bytes` must hold whole blocks. Throws `GGUF_UNSUPPORTED` for types without a kernel; `where` names the tensor.
 */
export function dequantise(type: GgufType, bytes: Uint8Array, where: string): Float32Array<ArrayBuffer> {
  if (type === "F32") return new Float32Array(aligned(bytes));
  if (type === "F16") return float16ToFloat32(new Uint16Array(aligned(bytes)));
  if (type === "BF16") return bfloat16ToFloat32(new Uint16Array(aligned(bytes)));
  const kernel = kernels[type];
  if (kernel === undefined) {
    const known = ["F32", "F16", "BF16", ...Object.keys(kernels)].join(" ");
    throw new InputError("GGUF_UNSUPPORTED", {
      expected: `a type among ${known}`,
      got: type,
      where,
      fix: "convert the model to Q8_0 or F16",
    });
  }
  const { blockElements, blockBytes } = blockLayout(type);
  const values = new Float32Array((bytes.length / blockBytes) * blockElements);
  kernel(bytes, values);
  return values;
}

function aligned(bytes: Uint8Array): ArrayBuffer {
  const whole =
    bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer;
  return whole ? (bytes.buffer as ArrayBuffer) : new Uint8Array(bytes).buffer;
}

/** 32 weights: scale f16, then signed bytes */
function q8_0(x: Uint8Array, y: Float32Array): void {
  const half = float16Table();
  for (let p = 0, o = 0; o < y.length; p += 34, o += 32) {
    const d = half[x[p]! | (x[p + 1]! << 8)]!;
    for (let i = 0; i < 32; i++) y[o + i] = d * ((x[p + 2 + i]! << 24) >> 24);
  }
}

/** 32 weights: scale f16, then 16 bytes; low nibbles are the first half, all less 8 */
function q4_0(x: Uint8Array, y: Float32Array): void {
  const half = float16Table();
  for (let p = 0, o = 0; o < y.length; p += 18, o += 32) {
    const d = half[x[p]! | (x[p + 1]! << 8)]!;
    for (let i = 0; i < 16; i++) {
      const q = x[p + 2 + i]!;
      y[o + i] = d * ((q & 15) - 8);
      y[o + 16 + i] = d * ((q >> 4) - 8);
    }
  }
}

/** 32 weights: scale and minimum f16, then 16 bytes as in Q4_0 */
function q4_1(x: Uint8Array, y: Float32Array): void {
  const half = float16Table();
  for (let p = 0, o = 0; o < y.length; p += 20, o += 32) {
    const d = half[x[p]! | (x[p + 1]! << 8)]!;
    const m = half[x[p + 2]! | (x[p + 3]! << 8)]!;
    for (let i = 0; i < 16; i++) {
      const q = x[p + 4 + i]!;
      y[o + i] = d * (q & 15) + m;
      y[o + 16 + i] = d * (q >> 4) + m;
    }
  }
}

/** 32 weights: scale f16, 32 fifth bits, then 16 bytes as in Q4_0; all less 16 */
function q5_0(x: Uint8Array, y: Float32Array): void {
  const half = float16Table();
  for (let p = 0, o = 0; o < y.length; p += 22, o += 32) {
    const d = half[x[p]! | (x[p + 1]! << 8)]!;
    const high = x[p + 2]! | (x[p + 3]! << 8) | (x[p + 4]! << 16) | (x[p + 5]! << 24);
    for (let i = 0; i < 16; i++) {
      const q = x[p + 6 + i]!;
      y[o + i] = d * (((q & 15) | (((high >>> i) & 1) << 4)) - 16);
      y[o + 16 + i] = d * (((q >> 4) | (((high >>> (i + 16)) & 1) << 4)) - 16);
    }
  }
}

/** 32 weights: scale and minimum f16, 32 fifth bits, then 16 bytes as in Q4_0 */
function q5_1(x: Uint8Array, y: Float32Array): void {
  const half = float16Table();
  for (let p = 0, o = 0; o < y.length; p += 24, o += 32) {
    const d = half[x[p]! | (x[p + 1]! << 8)]!;
    const m = half[x[p + 2]! | (x[p + 3]! << 8)]!;
    const high = x[p + 4]! | (x[p + 5]! << 8) | (x[p + 6]! << 16) | (x[p + 7]! << 24);
    for (let i = 0; i < 16; i++) {
      const q = x[p + 8 + i]!;
      y[o + i] = d * ((q & 15) | (((high >>> i) & 1) << 4)) + m;
      y[o + 16 + i] = d * ((q >> 4) | (((high >>> (i + 16)) & 1) << 4)) + m;
    }
  }
}

/** the 6-bit scale of sub-block `j` of 8, packed with the minima into the 12 bytes from `p` */
function subScale(x: Uint8Array, p: number, j: number): number {
  return j < 4 ? x[p + j]! & 63 : (x[p + j + 4]! & 15) | ((x[p + j - 4]! >> 6) << 4);
}

/** the 6-bit minimum of sub-block `j` of 8 */
function subMinimum(x: Uint8Array, p: number, j: number): number {
  return j < 4 ? x[p + j + 4]! & 63 : (x[p + j + 4]! >> 4) | ((x[p + j]! >> 6) << 4);
}

/** 256 weights: scale and minimum f16, 8 sub-scales and -minima, then 4 × 32 bytes, each two sub-blocks of nibbles */
function q4_k(x: Uint8Array, y: Float32Array): void {
  const half = float16Table();
  for (let p = 0, o = 0; o < y.length; p += 144) {
    const d = half[x[p]! | (x[p + 1]! << 8)]!;
    const m = half[x[p + 2]! | (x[p + 3]! << 8)]!;
    for (let j = 0, q = p + 16; j < 8; j += 2, q += 32, o += 64) {
      const d0 = d * subScale(x, p + 4, j);
      const m0 = m * subMinimum(x, p + 4, j);
      const d1 = d * subScale(x, p + 4, j + 1);
      const m1 = m * subMinimum(x, p + 4, j + 1);
      for (let i = 0; i < 32; i++) {
        y[o + i] = d0 * (x[q + i]! & 15) - m0;
        y[o + 32 + i] = d1 * (x[q + i]! >> 4) - m1;
      }
    }
  }
}

/** as Q4_K, with 32 bytes of fifth bits before the nibbles: bit `j` of byte `i` belongs to weight `i` of sub-block `j` */
function q5_k(x: Uint8Array, y: Float32Array): void {
  const half = float16Table();
  for (let p = 0, o = 0; o < y.length; p += 176) {
    const d = half[x[p]! | (x[p + 1]! << 8)]!;
    const m = half[x[p + 2]! | (x[p + 3]! << 8)]!;
    for (let j = 0, q = p + 48; j < 8; j += 2, q += 32, o += 64) {
      const d0 = d * subScale(x, p + 4, j);
      const m0 = m * subMinimum(x, p + 4, j);
      const d1 = d * subScale(x, p + 4, j + 1);
      const m1 = m * subMinimum(x, p + 4, j + 1);
      for (let i = 0; i < 32; i++) {
        const high = x[p + 16 + i]! >> j;
        y[o + i] = d0 * ((x[q + i]! & 15) | ((high & 1) << 4)) - m0;
        y[o + 32 + i] = d1 * ((x[q + i]! >> 4) | ((high & 2) << 3)) - m1;
      }
    }
  }
}

/** 256 weights: 128 bytes of low nibbles, 64 of upper bit pairs, 16 signed sub-scales (one for 16), scale f16; all less 32 */
function q6_k(x: Uint8Array, y: Float32Array): void {
  const half = float16Table();
  for (let p = 0, o = 0; o < y.length; p += 210) {
    const d = half[x[p + 208]! | (x[p + 209]! << 8)]!;
    for (let low = p, high = p + 128, scale = p + 192; low < p + 128; low += 64, high += 32, scale += 8, o += 128) {
      for (let i = 0; i < 32; i++) {
        const s = scale + (i >> 4);
        const h = x[high + i]!;
        const a = x[low + i]!;
        const b = x[low + 32 + i]!;
        y[o + i] = d * ((x[s]! << 24) >> 24) * (((a & 15) | ((h & 3) << 4)) - 32);
        y[o + 32 + i] = d * ((x[s + 2]! << 24) >> 24) * (((b & 15) | ((h & 12) << 2)) - 32);
        y[o + 64 + i] = d * ((x[s + 4]! << 24) >> 24) * (((a >> 4) | (h & 48)) - 32);
        y[o + 96 + i] = d * ((x[s + 6]! << 24) >> 24) * (((b >> 4) | ((h & 192) >> 2)) - 32);
      }
    }
  }
}

const kernels: Readonly<Partial<Record<GgufType, Kernel>>> = {
  Q8_0: q8_0,
  Q4_0: q4_0,
  Q4_1: q4_1,
  Q5_0: q5_0,
  Q5_1: q5_1,
  Q4_K: q4_k,
  Q5_K: q5_k,
  Q6_K: q6_k,
};
