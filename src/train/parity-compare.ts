// How two computations of the same numbers are compared, and what difference is allowed at each stage.
import { InputError } from "../errors.ts";
import type { Golden } from "./parity-golden.ts";

/** Largest differences between float32 on two engines: absolute, gradients relative, greedy the ids that differ. */
export const tolerances = {
  tower_features: 2e-4,
  projected: 2e-4,
  logits: 2e-4,
  loss: 1e-5,
  gradients: 1e-3,
  greedy: 0,
  training_loss: 1e-5,
  training_gradients: 1e-3,
  curve_align: 1e-3,
  curve_instruct: 1e-3,
} as const;
export type StageName = keyof typeof tolerances;

export interface Comparison {
  /** Infinity where a number is not finite on one side only */
  readonly difference: number;
  readonly tolerance: number;
  readonly ok: boolean;
  /** of gradients: the parameter that differs most */
  readonly worst?: string;
}

export function compareStage(stage: StageName, difference: number, worst?: string): Comparison {
  const tolerance = tolerances[stage];
  return { difference, tolerance, ok: difference <= tolerance, ...(worst === undefined ? {} : { worst }) };
}

/** max |got − expected|; throws `GOLDEN_SHAPE` when they are not of one length. */
export function largestDifference(
  got: ArrayLike<number>,
  expected: ArrayLike<number>,
  name: string,
  where: string,
): number {
  if (got.length !== expected.length) {
    throw new InputError("GOLDEN_SHAPE", {
      expected: `${got.length} values of ${name}`,
      got: `${expected.length}`,
      where,
    });
  }
  let most = 0;
  for (let i = 0; i < got.length; i++) {
    const difference = Math.abs(got[i]! - expected[i]!);
    if (!(difference <= most)) most = Number.isNaN(difference) ? Infinity : difference;
  }
  return most;
}

const largest = (values: Float32Array): number => values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);

/** A bias is compared on no finer a scale than this share of its weight's gradient. */
const biasShare = 0.01;

/**
 * The largest |got − expected| of any parameter's gradient relative to the largest element of that gradient.
 * Adding the same to all keys changes no attention, so the gradient of a key's bias is zero but for rounding, whose size
 * the weight's gradient tells.
 */
export async function compareGradients(
  stage: StageName,
  golden: Golden,
  names: Iterable<string>,
  load: (name: string) => Promise<Float32Array | undefined>,
): Promise<Comparison> {
  let [most, worst] = [0, ""];
  for (const name of new Set(names)) {
    const expected = await golden.gradient(name);
    const got = (await load(name)) ?? new Float32Array(expected.length);
    const difference = largestDifference(got, expected, `grad.${name}`, golden.where);
    const weight = name.replace(/bias$/, "weight");
    const floor = golden.gradients.has(weight) ? biasShare * largest(await golden.gradient(weight)) : 0;
    const relative = difference === 0 ? 0 : difference / Math.max(largest(expected), floor);
    if (relative > most) [most, worst] = [relative, name];
  }
  return compareStage(stage, most, worst);
}
