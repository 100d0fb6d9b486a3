// float32 → Q4_K super-blocks of 256 weights: eight groups of 32 with 6-bit scales and minima (layout: ggml-common.h).
import { float16Table, float32ToFloat16 } from "./half.ts";

const GROUP = 32;
const GROUPS = 8;
const SUPER = GROUP * GROUPS;
const BYTES = 144;

/** A group's values are about scale · code − minimum, codes 0–15, scale and minimum not negative. */
interface Line {
  readonly scale: number;
  readonly minimum: number;
}

/** Fills `out` with the super-blocks of `values`, whole multiples of 256. */
export function encodeQ4K(values: Float32Array, out: Uint8Array): void {
  const half = float16Table();
  for (let start = 0, p = 0; start < values.length; start += SUPER, p += BYTES) {
    const lines = Array.from({ length: GROUPS }, (_, g) =>
      fitLine(values.subarray(start + g * GROUP, start + (g + 1) * GROUP)),
    );
    const most = (pick: (line: Line) => number): number => Math.max(...lines.map(pick)) / 63;
    const bits = float32ToFloat16(
      Float32Array.of(
        most(({ scale }) => scale),
        most(({ minimum }) => minimum),
      ),
    );
    const [d, m] = [bits[0]!, bits[1]!];
    const [step, low] = [half[d]!, half[m]!];
    const sixBits = (x: number, unit: number): number => (unit === 0 ? 0 : Math.min(63, Math.round(x / unit)));
    const scales = lines.map((line) => sixBits(line.scale, step));
    const minima = lines.map((line) => sixBits(line.minimum, low));
    out[p] = d & 255;
    out[p + 1] = d >> 8;
    out[p + 2] = m & 255;
    out[p + 3] = m >> 8;
    packSixBits(out, p + 4, scales, minima);
    packCodes(values, start, out, p + 16, (g) => ({ scale: step * scales[g]!, minimum: low * minima[g]! }));
  }
}

/** Scales and minima of groups 0–3 in six bits of a byte each; those of 4–7 in nibbles and the two bits left over. */
function packSixBits(out: Uint8Array, at: number, scales: readonly number[], minima: readonly number[]): void {
  for (let g = 0; g < 4; g++) {
    const [s, m] = [scales[g + 4]!, minima[g + 4]!];
    out[at + g] = scales[g]! | ((s >> 4) << 6);
    out[at + 4 + g] = minima[g]! | ((m >> 4) << 6);
    out[at + 8 + g] = (s & 15) | ((m & 15) << 4);
  }
}

/** Two groups share 32 bytes: the first in the low halves, the second in the high ones. */
function packCodes(
  values: Float32Array,
  start: number,
  out: Uint8Array,
  at: number,
  lineOf: (group: number) => Line,
): void {
  for (let g = 0; g < GROUPS; g++) {
    const { scale, minimum } = lineOf(g);
    for (let i = 0; i < GROUP; i++) {
      const code = codeOf(values[start + g * GROUP + i]!, scale, minimum);
      const byte = at + (g >> 1) * GROUP + i;
      out[byte] = out[byte]! | (code << (4 * (g & 1)));
    }
  }
}

const codeOf = (x: number, scale: number, minimum: number): number =>
  scale === 0 ? 0 : Math.max(0, Math.min(15, Math.round((x + minimum) / scale)));

/**
 * The line with the least weighted squared error among those that least squares finds for codes of different ranges.
 * Large values weigh more, as in llama.cpp: they matter more to a product.
 */
function fitLine(x: Float32Array): Line {
  const low = Math.min(0, ...x);
  const high = Math.max(...x);
  if (high <= low) return { scale: 0, minimum: -low };
  const mean = Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length);
  const weights = x.map((v) => mean + Math.abs(v));
  let best: Line = { scale: (high - low) / 15, minimum: -low };
  let least = errorOf(x, weights, best);
  for (let range = 14; range <= 16; range += 0.25) {
    const line = refit(x, weights, { scale: (high - low) / range, minimum: -low });
    const error = line === undefined ? Infinity : errorOf(x, weights, line);
    if (error < least) [best, least] = [line!, error];
  }
  return best;
}

function errorOf(x: Float32Array, weights: Float32Array, { scale, minimum }: Line): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    const miss = scale * codeOf(x[i]!, scale, minimum) - minimum - x[i]!;
    sum += weights[i]! * miss * miss;
  }
  return sum;
}

/** The best line for the codes that another line gives; none where they are all one, or the minimum would be negative. */
function refit(x: Float32Array, weights: Float32Array, { scale, minimum }: Line): Line | undefined {
  let [w, wq, wqq, wx, wqx] = [0, 0, 0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const [q, v, weight] = [codeOf(x[i]!, scale, minimum), x[i]!, weights[i]!];
    w += weight;
    wq += weight * q;
    wqq += weight * q * q;
    wx += weight * v;
    wqx += weight * q * v;
  }
  const determinant = w * wqq - wq * wq;
  if (determinant <= 0) return undefined;
  const slope = (w * wqx - wq * wx) / determinant;
  const offset = (wqq * wx - wq * wqx) / determinant;
  if (offset <= 0) return slope > 0 ? { scale: slope, minimum: -offset } : undefined;
  return wqq > 0 && wqx > 0 ? { scale: wqx / wqq, minimum: 0 } : undefined;
}
