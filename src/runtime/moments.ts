// AdamW's two moments in 8 bits each: tiny floating-point numbers in blocks that share one scale, rounded at random.
// Block-wise as Dettmers et al. 2022 (arXiv 2110.02861); the codes are plain bit fields instead of their table, so that
// four are read and written at a time without one.
import type { AdamWConstants } from "./adamw-constants.ts";

/** Values that share a scale; the last block of a weight may be shorter. */
export const momentBlock = 256;

/** Both moments of a weight. */
export interface Moments {
  /** first moment: a sign, 4 bits of exponent, 3 of mantissa; 0 is zero */
  readonly m: Uint8Array;
  /** second moment: 5 bits of exponent, 3 of mantissa; 0 is zero, which no positive value becomes */
  readonly v: Uint8Array;
  /** for every block the scale of m, then of v: a code's number times its scale is the value */
  readonly scales: Float32Array;
}

/**
 * A code's number: its bits, moved behind the exponent bias, are those of a float32 up to 1.875. The smallest of m is
 * 0.6 · 2⁻¹⁵ of its largest, that of √v likewise: so no m is kept beside a √v that was lost, which would make a huge step.
 */
export const codes = {
  /** the bias of m's exponent, in steps of a mantissa */
  biasM: (127 - 15) << 3,
  biasV: (127 - 31) << 3,
  mostM: 127,
  mostV: 255,
  /** of float32's mantissa bits, those that a code has not */
  shift: 20,
  largest: 1.875,
  /** scales do not fall below: what is smaller moves no weight, and its reciprocal must stay finite */
  floor: 2 ** -100,
} as const;

/** Constants of the mixing function below (Wang's and Steele's kind of integer hash). */
export const mixing = { step: 0x9e3779b9 | 0, first: 0x7feb352d, second: 0x846ca68b | 0 } as const;

const { fround, imul, sqrt } = Math;
const asFloat = new Float32Array(1);
const asBits = new Int32Array(asFloat.buffer);
const floatOf = (bits: number): number => ((asBits[0] = bits), asFloat[0]!);
const bitsOf = (x: number): number => ((asFloat[0] = x), asBits[0]!);

/** The float32 that a code of m stands for. */
function decodeM(code: number, scale: number): number {
  const size = code & 0x7f;
  if (size === 0) return 0;
  const value = fround(floatOf((size + codes.biasM) << codes.shift) * scale);
  return code >= 0x80 ? -value : value;
}

function decodeV(code: number, scale: number): number {
  return code === 0 ? 0 : fround(floatOf((code + codes.biasV) << codes.shift) * scale);
}

/** Rounds to the codes around, up with the probability that makes it right on average; `random` has 20 bits. */
function encodeM(x: number, inverse: number, random: number): number {
  const bits = bitsOf(fround(x * inverse));
  const rounded = (((bits & 0x7fffffff) + random) >>> codes.shift) - codes.biasM;
  return (bits < 0 ? 0x80 : 0) | Math.max(0, Math.min(codes.mostM, rounded));
}

function encodeV(x: number, inverse: number, random: number): number {
  const bits = bitsOf(fround(x * inverse));
  return Math.max(Math.min(bits, 1), Math.min(codes.mostV, ((bits + random) >>> codes.shift) - codes.biasV));
}

/** What the random numbers of a block are hashed from; its lanes follow each other, and so do blocks. */
export function seedOfStep(step: number, block: number): number {
  return (imul(step, mixing.step) + 4 * block) | 0;
}

/** Where a lane's random numbers start; never zero. */
function mixed(seed: number): number {
  let x = seed;
  x = imul(x ^ (x >>> 16), mixing.first);
  x = imul(x ^ (x >>> 15), mixing.second);
  return (x ^ (x >>> 16)) | 1;
}

/** xorshift32 (Marsaglia 2003). */
function next(x: number): number {
  x ^= x << 13;
  x ^= x >>> 17;
  return x ^ (x << 5);
}

/**
 * One AdamW step with moments in 8 bits: as `plainLoops.adamw` on the decoded moments; the weight moves by the new
 * moments as they are before rounding. The random numbers are a function of `step` and place.
 * @param firstBlock of this part, where a weight is worked on in parts
 */
export function adamw8bit(
  p: Float32Array,
  g: Float32Array,
  { m, v, scales }: Moments,
  constants: AdamWConstants,
  step: number,
  firstBlock = 0,
): void {
  const newM = new Float32Array(momentBlock);
  const newV = new Float32Array(momentBlock);
  for (let start = 0, block = firstBlock; start < p.length; start += momentBlock, block++) {
    const size = Math.min(momentBlock, p.length - start);
    const at = (2 * start) / momentBlock;
    for (let i = 0; i < size; i++) {
      const gradient = fround(g[start + i]! * constants.scale);
      const oldM = decodeM(m[start + i]!, scales[at]!);
      newM[i] = oldM + fround(constants.gain1 * fround(gradient - oldM));
      const oldV = fround(decodeV(v[start + i]!, scales[at + 1]!) * constants.beta2);
      newV[i] = oldV + fround(fround(constants.gain2 * gradient) * gradient);
    }
    const inverseM = rescale(newM.subarray(0, size), scales, at);
    const inverseV = rescale(newV.subarray(0, size), scales, at + 1);
    const random = [0, 1, 2, 3].map((lane) => mixed(seedOfStep(step, block) + lane));
    for (let i = 0; i < size; i++) {
      const r = (random[i % 4] = next(random[i % 4]!));
      m[start + i] = encodeM(newM[i]!, inverseM, (r & 0xffff) << 4);
      v[start + i] = encodeV(newV[i]!, inverseV, r >>> 12);
      const update = fround(fround(constants.stepSize * newM[i]!) / fround(fround(sqrt(newV[i]!)) + constants.epsilon));
      p[start + i] = fround(fround(p[start + i]! * constants.decay) - update);
    }
  }
}

/** Sets a block's scale from its largest value and returns what values are multiplied with before encoding. */
function rescale(values: Float32Array, scales: Float32Array, at: number): number {
  let largest: number = codes.floor;
  for (const x of values) largest = Math.max(largest, Math.abs(x));
  scales[at] = fround(largest / codes.largest);
  return fround(codes.largest / largest);
}
