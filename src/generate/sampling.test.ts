// Sampling: the set of tokens that can be drawn, how often each is, and that a seed decides all of it.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InputError, RunError } from "../errors.ts";
import { createSampler, logNormaliser, mostLikely } from "./sampling.ts";

const logitsOf = (length: number) =>
  fc.array(fc.float({ min: -10, max: 10, noNaN: true }), { minLength: length, maxLength: length });

function softmax(logits: readonly number[], temperature: number): number[] {
  const top = Math.max(...logits);
  const weights = logits.map((x) => Math.exp((x - top) / temperature));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / sum);
}

/** The plain definition: sort, cut to k, renormalise, cut where p is reached, leave out what is unlikely beside the first. */
function allowed(
  logits: readonly number[],
  temperature: number,
  topK: number,
  topP: number,
  minP: number,
): Set<number> {
  const p = softmax(logits, temperature);
  const order = [...p.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b).slice(0, topK);
  const sum = order.reduce((total, id) => total + p[id]!, 0);
  let reached = 0;
  const kept = new Set<number>();
  for (const id of order) {
    if (p[id]! >= minP * p[order[0]!]! - 1e-12) kept.add(id);
    reached += p[id]! / sum;
    // sums that differ in their last bits may take one more
    if (reached >= topP + 1e-9) break;
  }
  return kept;
}

it("draws only what temperature, top-k, top-p and min-p leave", () => {
  const options = fc.record({
    logits: logitsOf(12),
    temperature: fc.double({ min: 0.1, max: 2, noNaN: true }),
    topK: fc.option(fc.integer({ min: 1, max: 14 })),
    topP: fc.option(fc.double({ min: 0.05, max: 1, noNaN: true })),
    minP: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
    seed: fc.nat(),
  });
  fc.assert(
    fc.property(options, ({ logits, temperature, topK, topP, minP, seed }) => {
      const given = Object.entries({ topK, topP, minP }).filter(([, value]) => value !== null);
      const sample = createSampler({ temperature, seed, ...Object.fromEntries(given) });
      const can = allowed(logits, temperature, topK ?? 12, topP ?? 1, minP ?? 0);
      for (let i = 0; i < 20; i++) expect(can).toContain(sample(Float32Array.from(logits)));
    }),
  );
});

it("draws as often as the probabilities say", () => {
  const logits = Float32Array.of(1, 2, 0, -1, 1.5);
  const expected = softmax([...logits], 0.8);
  const sample = createSampler({ temperature: 0.8, seed: 3 });
  const counts = Array.from({ length: 5 }, () => 0);
  const n = 20_000;
  for (let i = 0; i < n; i++) counts[sample(logits)]!++;
  // five standard deviations of a share is at most 0.018
  for (const [id, share] of expected.entries()) expect(counts[id]! / n).toBeCloseTo(share, 1.5);
});

it("is decided by its seed", () => {
  const logits = Float32Array.from({ length: 100 }, (_, i) => Math.sin(i));
  const run = (seed: number): number[] => {
    const sample = createSampler({ temperature: 1, seed });
    return Array.from({ length: 20 }, () => sample(logits));
  };
  expect(run(1)).toEqual(run(1));
  expect(run(1)).not.toEqual(run(2));
});

describe("greedy", () => {
  it("takes the largest logit, the lowest id among equals", () => {
    expect(mostLikely(Float32Array.of(1, 3, 2, 3))).toBe(1);
    expect(createSampler()(Float32Array.of(-5, -4, -6))).toBe(1);
    expect(createSampler({ temperature: 1, topK: 1 })(Float32Array.of(0, 0, 9))).toBe(2);
  });

  it.each([Number.NaN, Infinity, -Infinity])("refuses logits with %d", (broken) => {
    for (const sample of [createSampler(), createSampler({ temperature: 1 })]) {
      expect(() => sample(Float32Array.of(1, broken, 2))).toThrow(RunError);
    }
  });
});

describe("the repetition penalty", () => {
  it("divides what is positive and multiplies what is negative, of the prompt's tokens and of those chosen", () => {
    const logits = Float32Array.of(4, 3, 2.5, -1);
    const sample = createSampler({ repetitionPenalty: 2 }, [0, 99]);
    // 0 falls to 2 as the prompt holds it, 1 to 1.5 once it is chosen, then 2 to 1.25
    expect([sample(logits), sample(logits), sample(logits)]).toEqual([1, 2, 0]);
    expect([...logits]).toEqual([4, 3, 2.5, -1]);
    const below = createSampler({ repetitionPenalty: 3 }, [0]);
    expect(below(Float32Array.of(-1, -2, -4))).toBe(1);
  });

  it("changes nothing at 1", () => {
    const logits = Float32Array.of(1, 3, 2);
    const sample = createSampler({ repetitionPenalty: 1 }, [1]);
    expect([sample(logits), sample(logits)]).toEqual([1, 1]);
  });
});

it("knows what all log probabilities come from", () => {
  const logits = Float32Array.of(1, 2, 0, -1, 1.5);
  const total = logNormaliser(logits);
  softmax([...logits], 1).forEach((p, id) => expect(logits[id]! - total).toBeCloseTo(Math.log(p), 6));
});

it.each([
  { temperature: -1 },
  { temperature: Number.NaN },
  { topK: 0 },
  { topK: 1.5 },
  { topP: 0 },
  { topP: 1.1 },
  { temperature: 2.1 },
  { minP: -0.1 },
  { repetitionPenalty: 0 },
  { seed: 0.5 },
])("refuses %j", (options) => expect(() => createSampler(options)).toThrow(InputError));
