import fc from "fast-check";
import { expect, it } from "vitest";
import type { Schedule } from "./recipe.ts";
import { learningRateFactor } from "./schedule.ts";

const schedule = fc.constantFrom<Schedule>("cosine", "linear", "constant");
const runs = fc.record({
  schedule,
  steps: fc.integer({ min: 1, max: 300 }),
  warmup: fc.double({ min: 0, max: 1, noNaN: true }),
});
const factors = (of: Schedule, steps: number, warmup: number): number[] =>
  Array.from({ length: steps }, (_, i) => learningRateFactor(of, i + 1, steps, warmup));

it("is never zero and never above one, at any step of any run", () => {
  fc.assert(
    fc.property(runs, ({ schedule: of, steps, warmup }) => {
      for (const factor of factors(of, steps, warmup)) {
        expect(factor).toBeGreaterThan(0);
        expect(factor).toBeLessThanOrEqual(1);
      }
    }),
  );
});

it("rises in equal steps up to one, then never rises again", () => {
  fc.assert(
    fc.property(runs, ({ schedule: of, steps, warmup }) => {
      const all = factors(of, steps, warmup);
      const rising = Math.ceil(warmup * steps);
      all.slice(0, rising).forEach((factor, i) => expect(factor).toBeCloseTo((i + 1) / rising, 12));
      if (rising > 0) expect(all[rising - 1]).toBe(1);
      all.slice(rising).forEach((factor, i) => i > 0 && expect(factor).toBeLessThanOrEqual(all[rising + i - 1]!));
    }),
  );
});

it("falls as each schedule says", () => {
  expect(factors("constant", 4, 0.5)).toEqual([0.5, 1, 1, 1]);
  expect(factors("linear", 4, 0)).toEqual([0.8, 0.6, 0.4, 0.2].map((x) => expect.closeTo(x, 12) as number));
  // the middle of a half wave, and its ends alike around it
  const cosine = factors("cosine", 9, 0);
  expect(cosine[4]).toBeCloseTo(0.5, 12);
  cosine.forEach((factor, i) => expect(factor + cosine[8 - i]!).toBeCloseTo(1, 12));
  expect(cosine[0]).toBeCloseTo((1 + Math.cos(Math.PI / 10)) / 2, 12);
});
