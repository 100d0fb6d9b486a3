// GGUF's 4-bit blocks (Q4_0, Q4_1) with their codes and scales apart (llama.cpp, ggml-quants.c).
import type { GgufType } from "./gguf-types.ts";
import { float16Table, float32ToFloat16 } from "./half.ts";

/** Consecutive elements of a row that share a scale. */
export const blockElements = 32;
/** Of a block's codes. */
export const blockBytes = blockElements / 2;

/** Values in blocks of 32: scale · code + minimum, the minimum being −8 scales where none is given. */
export interface Blocks {
  /** 16 bytes a block: element i in the low half of byte i, element 16 + i in the high half */
  readonly codes: Uint8Array;
  /** one a block, the bits of a float16 */
  readonly scales: Uint16Array;
  readonly minima?: Uint16Array;
}

/** The blocks of a tensor as it lies in a GGUF file, if its type has 4-bit codes and a scale for 32 of them. */
export function blocksOfGguf(type: GgufType, bytes: Uint8Array): Blocks | undefined {
  if (type !== "Q4_0" && type !== "Q4_1") return undefined;
  const head = type === "Q4_0" ? 2 : 4;
  const count = bytes.length / (head + blockBytes);
  const [codes, scales, minima] = [new Uint8Array(count * blockBytes), new Uint16Array(count), new Uint16Array(count)];
  for (let block = 0, p = 0; block < count; block++, p += head + blockBytes) {
    scales[block] = bytes[p]! | (bytes[p + 1]! << 8);
    minima[block] = bytes[p + 2]! | (bytes[p + 3]! << 8);
    codes.set(bytes.subarray(p + head, p + head + blockBytes), block * blockBytes);
  }
  return type === "Q4_0" ? { codes, scales } : { codes, scales, minima };
}

/**
 * Blocks of values, as Q4_1: a block's smallest value gets code 0, its largest code 15.
 * Values that came from such blocks give them again. `values` hold whole blocks.
 */
export function quantise(values: Float32Array): Blocks {
  const count = values.length / blockElements;
  const [steps, lows] = [new Float32Array(count), new Float32Array(count)];
  for (let block = 0; block < count; block++) {
    let [low, high] = [Infinity, -Infinity];
    for (let i = block * blockElements; i < (block + 1) * blockElements; i++) {
      const value = values[i]!;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    lows[block] = low;
    steps[block] = (high - low) / 15;
  }
  const [scales, minima, half] = [float32ToFloat16(steps), float32ToFloat16(lows), float16Table()];
  const codes = new Uint8Array(values.length / 2);
  for (let block = 0, o = 0; block < count; block++, o += blockElements) {
    const [scale, minimum] = [half[scales[block]!]!, half[minima[block]!]!];
    const inverse = scale === 0 ? 0 : 1 / scale;
    const code = (i: number): number => Math.max(0, Math.min(15, Math.round((values[i]! - minimum) * inverse)));
    for (let i = 0; i < blockBytes; i++) {
      codes[block * blockBytes + i] = code(o + i) | (code(o + blockBytes + i) << 4);
    }
  }
  return { codes, scales, minima };
}

/** Writes the values that blocks stand for. */
export function dequantise({ codes, scales, minima }: Blocks, into: Float32Array): void {
  const half = float16Table();
  for (let block = 0, p = 0, o = 0; block < scales.length; block++, o += blockElements) {
    const scale = half[scales[block]!]!;
    const minimum = minima === undefined ? -8 * scale : half[minima[block]!]!;
    for (let i = o; i < o + blockBytes; i++, p++) {
      const byte = codes[p]!;
      into[i] = scale * (byte & 15) + minimum;
      into[i + blockBytes] = scale * (byte >> 4) + minimum;
    }
  }
}
