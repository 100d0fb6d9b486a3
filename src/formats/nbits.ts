// Matrices in blocks of 4 or 8 bits as ONNX Runtime's MatMulNBits takes them (contrib op of com.microsoft).
import { float16Table } from "./half.ts";
import { blockBytes, blockElements, type Blocks } from "./q4.ts";

export type Bits = 4 | 8;

/** A matrix [N, K], each row in blocks of 32 along K, the last one filled up: value = scale · (code − zero point). */
export interface NBits {
  /** [N, blocks, 4 · bits]: two codes of 4 bits a byte, the first in the low half */
  readonly codes: Uint8Array;
  /** [N, blocks] */
  readonly scales: Float32Array;
  /** [N, bytes]: as codes lie, each row's beginning with a byte of its own */
  readonly zeroPoints: Uint8Array;
}

/** How many bytes and elements the parts of a matrix [rows, columns] have. */
export function nbitsSizes(rows: number, columns: number, bits: Bits) {
  const blocks = Math.ceil(columns / blockElements);
  const zeroBytes = Math.ceil((blocks * bits) / 8);
  return { blocks, codeBytes: rows * blocks * 4 * bits, scales: rows * blocks, zeroBytes: rows * zeroBytes };
}

/** Rounds a matrix [rows, columns] to blocks. Each block gets, of a few scales and zero points, the one that errs least. */
export function packRows(values: Float32Array, rows: number, columns: number, bits: Bits): NBits {
  const { blocks } = nbitsSizes(rows, columns, bits);
  const packed = emptyMatrix(rows, columns, bits);
  const block = new Float32Array(blockElements);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let i = 0; i < blocks; i++, at++) {
      const start = row * columns + i * blockElements;
      const length = Math.min(blockElements, columns - i * blockElements);
      block.fill(0).set(values.subarray(start, start + length));
      const grid = bestGrid(block, bits);
      packed.scales[at] = grid.scale;
      putZeroPoint(packed.zeroPoints, row, i, blocks, bits, grid.zero);
      putCodes(packed.codes, at, block, grid, bits);
    }
  }
  return packed;
}

/**
 * The same matrix out of GGUF's blocks, to the bit; undefined where they have minima, which no whole zero point says.
 * @param columns a multiple of 32
 */
export function packBlocks({ codes, scales, minima }: Blocks, rows: number, columns: number): NBits | undefined {
  if (minima !== undefined) return undefined;
  const packed = emptyMatrix(rows, columns, 4);
  const half = float16Table();
  packed.zeroPoints.fill(0x88);
  for (let block = 0, p = 0; block < scales.length; block++, p += blockBytes) {
    packed.scales[block] = half[scales[block]!]!;
    for (let i = 0; i < blockBytes / 2; i++) {
      // elements 2i, 2i + 1 of a half lie in the low and high bits of neighbouring bytes
      const [a, b] = [codes[p + 2 * i]!, codes[p + 2 * i + 1]!];
      packed.codes[p + i] = (a & 15) | ((b & 15) << 4);
      packed.codes[p + blockBytes / 2 + i] = (a >> 4) | (b & 0xf0);
    }
  }
  return packed;
}

/** The values that a packed matrix stands for, [rows, columns]. */
export function unpackRows(
  { codes, scales, zeroPoints }: NBits,
  rows: number,
  columns: number,
  bits: Bits,
): Float32Array {
  const { blocks } = nbitsSizes(rows, columns, bits);
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const block = Math.floor(column / blockElements);
      const at = row * blocks + block;
      const zero = codeAt(zeroPoints, row * Math.ceil((blocks * bits) / 8), block, bits);
      const code = codeAt(codes, at * 4 * bits, column % blockElements, bits);
      values[row * columns + column] = scales[at]! * (code - zero);
    }
  }
  return values;
}

function emptyMatrix(rows: number, columns: number, bits: Bits): NBits {
  const { codeBytes, scales, zeroBytes } = nbitsSizes(rows, columns, bits);
  return {
    codes: new Uint8Array(codeBytes),
    scales: new Float32Array(scales),
    zeroPoints: new Uint8Array(zeroBytes),
  };
}

function codeAt(bytes: Uint8Array, start: number, i: number, bits: Bits): number {
  return bits === 8 ? bytes[start + i]! : (bytes[start + (i >> 1)]! >> (4 * (i & 1))) & 15;
}

function putZeroPoint(zeroPoints: Uint8Array, row: number, i: number, blocks: number, bits: Bits, zero: number): void {
  const start = row * Math.ceil((blocks * bits) / 8);
  if (bits === 8) zeroPoints[start + i] = zero;
  else zeroPoints[start + (i >> 1)]! |= zero << (4 * (i & 1));
}

interface Grid {
  readonly scale: number;
  readonly zero: number;
}

function putCodes(codes: Uint8Array, at: number, block: Float32Array, grid: Grid, bits: Bits): void {
  const start = at * 4 * bits;
  for (let i = 0; i < blockElements; i++) {
    const code = codeOf(block[i]!, grid, bits);
    if (bits === 8) codes[start + i] = code;
    else codes[start + (i >> 1)]! |= code << (4 * (i & 1));
  }
}

function codeOf(value: number, { scale, zero }: Grid, bits: Bits): number {
  if (scale === 0) return zero;
  return Math.max(0, Math.min(2 ** bits - 1, Math.round(value / scale) + zero));
}

/** How much of a block's range is covered: what lies beyond is cut, the rest lies finer. */
const covered = { 4: [1, 0.93, 0.86], 8: [1] } as const;

/** From the lowest to the highest value, or about zero with the largest at the end of the codes. */
function bestGrid(block: Float32Array, bits: Bits): Grid {
  let [low, high] = [0, 0];
  for (const value of block) {
    if (value < low) low = value;
    else if (value > high) high = value;
  }
  const [top, middle] = [2 ** bits - 1, 2 ** (bits - 1)];
  if (low === high) return { scale: 0, zero: middle };
  const peak = -low > high ? low : high;
  let best: Grid = { scale: 0, zero: middle };
  let least = Infinity;
  const consider = (scale: number, zero: number): void => {
    const grid = { scale: Math.fround(scale), zero };
    const error = errorOf(block, grid, bits);
    if (error < least) [best, least] = [grid, error];
  };
  for (const part of covered[bits]) {
    const scale = ((high - low) / top) * part;
    consider(scale, Math.max(0, Math.min(top, Math.round((-low * part) / scale))));
    consider((peak / -middle) * part, middle);
  }
  return best;
}

function errorOf(block: Float32Array, grid: Grid, bits: Bits): number {
  const { scale, zero } = grid;
  const [inverse, top] = [1 / scale, 2 ** bits - 1];
  let sum = 0;
  for (let i = 0; i < blockElements; i++) {
    const value = block[i]!;
    const code = Math.max(0, Math.min(top, Math.round(value * inverse) + zero));
    const off = value - scale * (code - zero);
    sum += off * off;
  }
  return sum;
}
