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
  /** second moment: 5 bits of exponent, 3 of mantissa; nothing is zero but in a block whose scale is */
  readonly v: Uint8Array;
  /** for every block the scale of m, then of v: a code's number times its scale is the value */
  readonly scales: Float32Array;
}

/**
 * A code's number: its bits, moved behind the exponent bias, are those of a float32 up to 1.875. The smallest of m is
 * 0.6 · 2⁻¹⁵ of the largest, that of √v likewise: so no m is kept beside a √v that was lost, which would make a huge step.
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
  /** bounds do not fall below: what is smaller moves no weight, and its reciprocal must stay finite */
  floor: 2 ** -100,
} as const;

/** Constants of the mixing function below, a common kind of integer hash. */
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
  return fround(floatOf((code + codes.biasV) << codes.shift) * scale);
}

/** Rounds to a code nearby, up with the probability that makes it right on average; `random` has 20 bits. */
function encodeM(x: number, inverse: number, random: number): number {
  const bits = bitsOf(fround(x * inverse));
  const rounded = (((bits & 0x7fffffff) + random) >>> codes.shift) - codes.biasM;
  return (bits < 0 ? 0x80 : 0) | Math.max(0, Math.min(codes.mostM, rounded));
}

function encodeV(x: number, inverse: number, random: number): number {
  const rounded = ((bitsOf(fround(x * inverse)) + random) >>> codes.shift) - codes.biasV;
  return Math.max(0, Math.min(codes.mostV, rounded));
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

const nextM = (old: number, gradient: number, { gain1 }: AdamWConstants): number =>
  fround(old + fround(gain1 * fround(gradient - old)));
const nextV = (old: number, gradient: number, { beta2, gain2 }: AdamWConstants): number =>
  fround(fround(old * beta2) + fround(fround(gain2 * gradient) * gradient));

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
  for (let start = 0, block = firstBlock; start < p.length; start += momentBlock, block++) {
    const end = Math.min(start + momentBlock, p.length);
    const at = (2 * start) / momentBlock;
    const [scaleM, scaleV] = [scales[at]!, scales[at + 1]!];
    // the largest that the new moments can be, from the largest old ones and the largest gradient
    const largest = largestOf(m.subarray(start, end), v.subarray(start, end), g.subarray(start, end), constants.scale);
    const inverseM = rescale(scales, at, nextM(decodeM(largest.m, scaleM), largest.g, constants));
    const inverseV = rescale(scales, at + 1, nextV(decodeV(largest.v, scaleV), largest.g, constants));
    const random = [0, 1, 2, 3].map((lane) => mixed(seedOfStep(step, block) + lane));
    for (let i = start; i < end; i++) {
      const gradient = fround(g[i]! * constants.scale);
      const newM = nextM(decodeM(m[i]!, scaleM), gradient, constants);
      const newV = nextV(decodeV(v[i]!, scaleV), gradient, constants);
      const lane = (i - start) % 4;
      const bits = (random[lane] = next(random[lane]!)) >>> (32 - codes.shift);
      m[i] = encodeM(newM, inverseM, bits);
      v[i] = encodeV(newV, inverseV, bits);
      const update = fround(fround(constants.stepSize * newM) / fround(fround(sqrt(newV)) + constants.epsilon));
      p[i] = fround(fround(p[i]! * constants.decay) - update);
    }
  }
}

/** Largest codes (without sign) and gradient of a block. */
function largestOf(m: Uint8Array, v: Uint8Array, g: Float32Array, scale: number): { m: number; v: number; g: number } {
  const largest = { m: 0, v: 0, g: 0 };
  for (let i = 0; i < g.length; i++) {
    largest.m = Math.max(largest.m, m[i]! & 0x7f);
    largest.v = Math.max(largest.v, v[i]!);
    largest.g = Math.max(largest.g, Math.abs(fround(g[i]! * scale)));
  }
  return largest;
}

/** Sets a block's scale from a bound of its values and returns what they are multiplied with before encoding. */
function rescale(scales: Float32Array, at: number, bound: number): number {
  const largest = Math.max(bound, codes.floor);
  scales[at] = fround(largest / codes.largest);
  return fround(codes.largest / largest);
}
