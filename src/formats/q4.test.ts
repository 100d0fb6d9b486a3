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

it("errs by at most a step of the block's scale, and not at all at zero", () => {
  fc.assert(
    fc.property(values, (given) => {
      const blocks = quantise(given);
      valuesOf(blocks).forEach((got, i) => {
        const scale = Math.abs(float16ToFloat32(blocks.scales)[Math.floor(i / blockElements)]!);
        // half a step, but a whole one at the end that has no code of its own; float16 rounds the scale by 2⁻¹¹
        expect(Math.abs(got - given[i]!)).toBeLessThanOrEqual(scale * 1.01 + 1e-6);
        if (given[i] === 0) expect(Math.abs(got)).toBe(0);
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
