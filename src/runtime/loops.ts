// The loops over all weights in plain float32: what wasm-kernels.ts must equal, and what does its last few elements.

/** What one AdamW step multiplies with, rounded to float32. */
export interface AdamWConstants {
  readonly scale: number;
  /** 1 − η λ */
  readonly decay: number;
  /** 1 − β₁ */
  readonly gain1: number;
  readonly beta2: number;
  /** 1 − β₂ */
  readonly gain2: number;
  /** ε √(1 − β₂ᵗ) */
  readonly epsilon: number;
  /** η √(1 − β₂ᵗ) / (1 − β₁ᵗ) */
  readonly stepSize: number;
}

export interface AdamWOptions {
  /** counts from 1 */
  readonly step: number;
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** multiplies the gradient first (global clipping, averaging over accumulated batches) */
  readonly scale: number;
}

/**
 * PyTorch's update is θ ← θ(1 − ηλ) − (η / (1−β₁ᵗ)) m / (√v / √(1−β₂ᵗ) + ε); multiplying numerator and denominator
 * by √(1−β₂ᵗ) saves one division an element and changes nothing but rounding.
 */
export function adamwConstants(options: AdamWOptions): AdamWConstants {
  const { step, learningRate, beta1, beta2, epsilon, weightDecay, scale } = options;
  const root = Math.sqrt(1 - beta2 ** step);
  return {
    scale: Math.fround(scale),
    decay: Math.fround(1 - learningRate * weightDecay),
    gain1: Math.fround(1 - beta1),
    beta2: Math.fround(beta2),
    gain2: Math.fround(1 - beta2),
    epsilon: Math.fround(epsilon * root),
    stepSize: Math.fround((learningRate * root) / (1 - beta1 ** step)),
  };
}

/** The loops that have a fast form; all arrays of one call have one length. */
export interface Loops {
  adamw(p: Float32Array, g: Float32Array, m: Float32Array, v: Float32Array, constants: AdamWConstants): void;
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
