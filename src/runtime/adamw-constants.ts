// What one step of AdamW is given, and what it multiplies with.

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
