// Runs take all tokens, leave room in the last alone, and never cost more than padding to the next power of two.
import fc from "fast-check";
import { expect, it } from "vitest";
import { chunkSizes, largestChunk } from "./chunk-sizes.ts";

it("takes every token, with room in the last run only", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 * largestChunk }), (count) => {
      const sizes = chunkSizes(count);
      const sum = sizes.reduce((a, b) => a + b, 0);
      expect(sum).toBeGreaterThanOrEqual(count);
      expect(sum - sizes.at(-1)!).toBeLessThan(count);
      for (const size of sizes) expect(Number.isInteger(Math.log2(size)) && size <= largestChunk).toBe(true);
    }),
  );
});

it.each([
  [1, [1]],
  [3, [4]],
  [20, [32]],
  [64, [64]],
  // 64 more rows of padding cost more than a second run
  [66, [64, 2]],
  [100, [128]],
  [130, [128, 2]],
])("%i tokens run as %j", (count, sizes) => expect(chunkSizes(count)).toEqual(sizes));
