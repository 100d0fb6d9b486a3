import fc from "fast-check";
import { expect, test } from "vitest";
import { random } from "../../data/random.ts";
import { planPresence } from "./plan.ts";
import { countCooccurrence, keepProbabilities } from "./statistics.ts";

test("names by frequency, ties by name; pairs as conditional probabilities", () => {
  const { names, counts, score } = countCooccurrence([["cup", "bowl"], ["cup", "fork"], ["cup", "bowl"], ["dog"]]);
  expect(names).toEqual(["cup", "bowl", "dog", "fork"]);
  expect(counts).toEqual([3, 2, 1, 1]);
  expect(score(1, [0])).toBeCloseTo(2 / 3);
  expect(score(0, [1])).toBe(1);
  expect(score(2, [0, 1])).toBe(0);
});

test("no answer is kept more often than its share, where there are answers enough", () => {
  const tallies = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(tallies, fc.double({ min: 0.1, max: 1, noNaN: true }), (amounts, share) => {
      const keep = keepProbabilities(new Map(amounts.map((amount, i) => [String(i), amount])), share);
      const kept = amounts.map((amount, i) => amount * (keep.get(String(i)) as number));
      const sum = kept.reduce((a, b) => a + b, 0);
      expect(sum).toBeGreaterThan(0);
      expect(Math.max(...kept)).toBeLessThanOrEqual(Math.max(share, 1 / amounts.length) * sum * (1 + 1e-9));
      // nothing is thrown away without need: rare answers are all kept
      expect(keep.get(String(amounts.indexOf(Math.min(...amounts))))).toBe(1);
    }),
  );
});

test("a plan has no bound on its pictures", () => {
  const choice = { present: [], doubtful: new Set<string>(), wanted: 2 };
  const plans = planPresence(
    Array.from({ length: 200_000 }, () => choice),
    countCooccurrence([]),
    random(1),
  );
  expect(plans).toHaveLength(200_000);
});
