// Chooses the next token from its logits: greedy, or drawn after temperature, top-k, top-p and min-p.
import { random } from "../data/random.ts";
import { RunError } from "../errors.ts";
import { checkSampling, type SamplingOptions } from "./sampling-options.ts";

/** Takes logits [V], gives a token id. Holds a stream of random numbers: one sampler for each answer. */
export type Sampler = (logits: Float32Array) => number;

/**
 * Repetition penalty, temperature, top-k, top-p, then min-p, as transformers orders them. `before` is the prompt, whose
 * tokens the penalty counts as said. Throws `SAMPLING_OPTION`.
 */
export function createSampler(options: SamplingOptions = {}, before: ArrayLike<number> = []): Sampler {
  checkSampling(options);
  const { temperature = 0, topK, repetitionPenalty = 1 } = options;
  const choose = temperature === 0 || topK === 1 ? mostLikely : drawing(temperature, options);
  return repetitionPenalty === 1 ? choose : penalising(choose, repetitionPenalty, before);
}

function drawing(temperature: number, { topK, topP, minP, seed = 0 }: SamplingOptions): Sampler {
  const stream = random(seed, "sampling");
  return (logits) => {
    const best = logits[mostLikely(logits)]!;
    const weights = Float64Array.from(logits, (logit) => Math.exp((logit - best) / temperature));
    const nucleus = candidates(logits, weights, topK, topP);
    return draw(weights, minP ? likelyEnough(weights, nucleus, minP) : nucleus, stream.float());
  };
}

/** Logits of tokens that were there before are divided by the penalty, negative ones multiplied (arXiv 1909.05858). */
function penalising(choose: Sampler, penalty: number, before: ArrayLike<number>): Sampler {
  const said = new Set(Array.from(before));
  return (logits) => {
    const changed = Float32Array.from(logits);
    for (const id of said) {
      const logit = changed[id];
      // a prompt may hold ids that the head does not know, such as the picture's
      if (logit !== undefined) changed[id] = logit > 0 ? logit / penalty : logit * penalty;
    }
    const chosen = choose(changed);
    said.add(chosen);
    return chosen;
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

/** log Σ exp over logits [V]: a token's log probability is its logit less this. */
export function logNormaliser(logits: Float32Array): number {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return most + Math.log(sum);
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

/** Of `ids` (undefined: all) those whose weight is at least `minP`; the likeliest token's is 1. */
function likelyEnough(weights: Float64Array, ids: readonly number[] | undefined, minP: number): readonly number[] {
  if (ids !== undefined) return ids.filter((id) => weights[id]! >= minP);
  const kept: number[] = [];
  for (let id = 0; id < weights.length; id++) if (weights[id]! >= minP) kept.push(id);
  return kept;
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
