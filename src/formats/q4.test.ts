// Blocks of 4 bits: exact where they came from blocks, near otherwise, and the values that GGUF's reader gives.
import fc from "fast-check";
import { expect, it } from "vitest";
import { dequantise as fromGguf } from "./gguf-dequantise.ts";
import { float16ToFloat32 } from "./half.ts";
import { blockElements, type Blocks, blocksOfGguf, dequantise, quantise } from "./q4.ts";

const valuesOf = (blocks: Blocks): Float32Array => {
  const values = new Float32Array(2 * blocks.codes.length);
  dequantise(blocks, values);
  return values;
};

/** Equal numbers: zeros of either sign are. */
const same = (a: Float32Array, b: Float32Array): boolean => a.length === b.length && a.every((x, i) => x === b[i]);

const values = fc
  .array(fc.float({ noNaN: true, min: -1000, max: 1000 }), {
    minLength: 2 * blockElements,
    maxLength: 2 * blockElements,
  })
  .map((list) => Float32Array.from(list));

it("errs by at most half a step of the block's scale, and what float16 rounds", () => {
  fc.assert(
    fc.property(values, (given) => {
      const blocks = quantise(given);
      const scales = float16ToFloat32(blocks.scales);
      valuesOf(blocks).forEach((got, i) => {
        const block = Math.floor(i / blockElements);
        const of = given.subarray(block * blockElements, (block + 1) * blockElements);
        const largest = of.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
        const allowed = 0.5 * scales[block]! + 2 ** -9 * largest + 1e-6;
        expect(Math.abs(got - given[i]!)).toBeLessThanOrEqual(allowed);
      });
    }),
  );
});

it("gives the same values again", () => {
  fc.assert(
    fc.property(values, (given) => {
      const once = valuesOf(quantise(given));
      expect(same(valuesOf(quantise(once)), once)).toBe(true);
    }),
  );
});

it.each([
  ["Q4_0", 18],
  ["Q4_1", 20],
] as const)("reads what a GGUF file holds as %s", (type, size) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 2 * size, maxLength: 2 * size }), (bytes) => {
      // scales and minima that are numbers
      for (const at of [1, 3, size + 1, size + 3]) bytes[at]! &= 0x7b;
      expect(same(valuesOf(blocksOfGguf(type, bytes)!), fromGguf(type, bytes, "test"))).toBe(true);
    }),
  );
});
