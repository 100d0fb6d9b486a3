// Chooses the next token from its logits: greedy, or drawn after temperature, top-k and top-p.
import { random } from "../data/random.ts";
import { InputError, RunError } from "../errors.ts";

export interface SamplingOptions {
  /** 0 (unless told): always the most likely token */
  readonly temperature?: number;
  /** draw among the k most likely tokens only */
  readonly topK?: number;
  /** draw among the most likely tokens that together reach this probability (arXiv 1904.09751) */
  readonly topP?: number;
  /** the same seed draws the same tokens; 0 unless told */
  readonly seed?: number;
}

/** Takes logits [V], gives a token id. Holds a stream of random numbers: one sampler for each answer. */
export type Sampler = (logits: Float32Array) => number;

/** Temperature, then top-k, then top-p, as transformers orders them. Throws `SAMPLING_OPTION`. */
export function createSampler({ temperature = 0, topK, topP, seed = 0 }: SamplingOptions = {}): Sampler {
  check("temperature", temperature, temperature >= 0 && temperature <= 100, "a number from 0 to 100");
  check("top-k", topK, topK === undefined || (Number.isInteger(topK) && topK >= 1), "a whole number of at least 1");
  check("top-p", topP, topP === undefined || (topP > 0 && topP <= 1), "a number above 0 and up to 1");
  if (temperature === 0 || topK === 1) return mostLikely;
  const stream = random(seed, "sampling");
  return (logits) => {
    const best = logits[mostLikely(logits)]!;
    const weights = Float64Array.from(logits, (logit) => Math.exp((logit - best) / temperature));
    return draw(weights, candidates(logits, weights, topK, topP), stream.float());
  };
}

/** The token with the largest logit, the lowest id among equals. Throws `LOGITS_NOT_FINITE`. */
export function mostLikely(logits: Float32Array): number {
  let best = 0;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) {
    if (logits[id]! > logits[best]!) best = id;
    sum += logits[id]!;
  }
  if (Number.isFinite(sum)) return best;
  throw new RunError("LOGITS_NOT_FINITE", {
    expected: "numbers for every token",
    got: "infinity or no number",
    fix: "the weights are broken or diverged in training: use an earlier checkpoint",
  });
}

/** The ids to draw from, most likely first; undefined for all of them. */
function candidates(
  logits: Float32Array,
  weights: Float64Array,
  topK?: number,
  topP = 1,
): readonly number[] | undefined {
  const all = topK === undefined || topK >= weights.length;
  if (all && topP === 1) return undefined;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  // what is less likely than this adds up to less than 1 − p, so the nucleus is complete without it
  const least = all ? (total * (1 - topP)) / weights.length : 0;
  const ids: number[] = [];
  for (let id = 0; id < weights.length; id++) if (weights[id]! >= least) ids.push(id);
  ids.sort((a, b) => logits[b]! - logits[a]! || a - b);
  const kept = all ? ids : ids.slice(0, topK);
  const keptTotal = all ? total : kept.reduce((sum, id) => sum + weights[id]!, 0);
  let reached = 0;
  const end = kept.findIndex((id) => (reached += weights[id]!) >= topP * keptTotal);
  return end < 0 ? kept : kept.slice(0, end + 1);
}

function draw(weights: Float64Array, ids: readonly number[] | undefined, uniform: number): number {
  const count = ids?.length ?? weights.length;
  const idAt = (i: number): number => ids?.[i] ?? i;
  let total = 0;
  for (let i = 0; i < count; i++) total += weights[idAt(i)]!;
  let left = uniform * total;
  let chosen = idAt(0);
  for (let i = 0; i < count; i++) {
    const weight = weights[idAt(i)]!;
    if (weight === 0) continue;
    chosen = idAt(i);
    left -= weight;
    if (left < 0) break;
  }
  return chosen;
}

function check(name: string, value: number | undefined, right: boolean, expected: string): void {
  if (!right) throw new InputError("SAMPLING_OPTION", { expected, got: String(value), where: name });
}
