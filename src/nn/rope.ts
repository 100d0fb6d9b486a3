// Rotary position embedding (arXiv 2104.09864), half-split as in Hugging Face's LLaMA.
import { add, concat, multiply, slice, subtract } from "../graph/build.ts";
import type { Value } from "../graph/graph.ts";

/** Cosines and sines of the angles: shapes that broadcast against half a head, […, T, D/2]. */
export interface Rotation {
  readonly cos: Value;
  readonly sin: Value;
}

/** (x₁, x₂) → (x₁cos − x₂sin, x₂cos + x₁sin) with x₁, x₂ the halves of the last axis; x […, T, D]. */
export function rotate(x: Value, { cos, sin }: Rotation): Value {
  const axis = x.shape.length - 1;
  const half = x.shape[axis]! / 2;
  const [x1, x2] = [slice(x, axis, 0, half), slice(x, axis, half, 2 * half)];
  return concat([subtract(multiply(x1, cos), multiply(x2, sin)), add(multiply(x2, cos), multiply(x1, sin))], axis);
}

/**
 * cos and sin tables for positions: angle = position · base^(−2i/D), rounded to float32 where transformers rounds.
 * @returns two arrays of [positions, headSize / 2]
 */
export function rotationTables(
  positions: ArrayLike<number>,
  headSize: number,
  base: number,
): { cos: Float32Array; sin: Float32Array } {
  const half = headSize / 2;
  const frequencies = Float32Array.from(
    { length: half },
    (_, i) => 1 / Math.fround(base ** Math.fround((2 * i) / headSize)),
  );
  const cos = new Float32Array(positions.length * half);
  const sin = new Float32Array(positions.length * half);
  for (let t = 0; t < positions.length; t++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(positions[t]! * frequencies[i]!);
      cos[t * half + i] = Math.cos(angle);
      sin[t * half + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
