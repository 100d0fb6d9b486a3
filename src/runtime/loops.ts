// The loops over all weights in plain float32: what wasm-kernels.ts must equal, and what does its last few elements.
import type { AdamWConstants } from "./adamw-constants.ts";
import { adamw8bit, type Moments } from "./moments.ts";

/** The loops that have a fast form; all arrays of one call have one length (but scales). */
export interface Loops {
  adamw(p: Float32Array, g: Float32Array, m: Float32Array, v: Float32Array, constants: AdamWConstants): void;
  /** the same with moments in 8 bits; `step` decides how they are rounded */
  adamw8bit(p: Float32Array, g: Float32Array, moments: Moments, constants: AdamWConstants, step: number): void;
  /** Σ x² in float64; NaN or Infinity when any element is not finite */
  sumSquares(x: Float32Array): number;
  /** into ← into + factor · from */
  addScaled(into: Float32Array, from: Float32Array, factor: number): void;
}

const { fround, sqrt } = Math;

/** One element at a time, each operation rounded to float32. */
export const plainLoops: Loops = {
  adamw(p, g, m, v, { scale, decay, gain1, beta2, gain2, epsilon, stepSize }) {
    for (let i = 0; i < p.length; i++) {
      const gradient = fround(g[i]! * scale);
      const oldM = m[i]!;
      const newM = fround(oldM + fround(gain1 * fround(gradient - oldM)));
      const newV = fround(fround(v[i]! * beta2) + fround(fround(gain2 * gradient) * gradient));
      m[i] = newM;
      v[i] = newV;
      const update = fround(fround(stepSize * newM) / fround(fround(sqrt(newV)) + epsilon));
      p[i] = fround(fround(p[i]! * decay) - update);
    }
  },
  adamw8bit,
  sumSquares(x) {
    let sum = 0;
    for (let i = 0; i < x.length; i++) sum += x[i]! * x[i]!;
    return sum;
  },
  addScaled(into, from, factor) {
    const f = fround(factor);
    for (let i = 0; i < into.length; i++) into[i]! += fround(f * from[i]!);
  },
};
