import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { float32ToFloat16 } from "./half.ts";
import { type Bits, nbitsSizes, packBlocks, packRows, unpackRows } from "./nbits.ts";
import { type Blocks, dequantise } from "./q4.ts";

const matrices = fc
  .record({ rows: fc.integer({ min: 1, max: 4 }), columns: fc.integer({ min: 1, max: 100 }) })
  .chain(({ rows, columns }) =>
    fc
      .array(fc.float({ min: -4, max: 4, noNaN: true }), { minLength: rows * columns, maxLength: rows * columns })
      .map((values) => ({ rows, columns, values: Float32Array.from(values) })),
  );

describe.each([4, 8] as const)("blocks of %i bits", (bits: Bits) => {
  test("no value is off by more than what a range of all values would cost", () => {
    fc.assert(
      fc.property(matrices, ({ rows, columns, values }) => {
        const back = unpackRows(packRows(values, rows, columns, bits), rows, columns, bits);
        for (let row = 0; row < rows; row++) {
          for (let start = 0; start < columns; start += 32) {
            const block = values.subarray(row * columns + start, row * columns + Math.min(columns, start + 32));
            const got = back.subarray(row * columns + start, row * columns + Math.min(columns, start + 32));
            const step = (Math.max(0, ...block) - Math.min(0, ...block)) / (2 ** bits - 1);
            const error = block.reduce((sum, value, i) => sum + (value - got[i]!) ** 2, 0);
            // rounding of the value and of the zero point
            expect(error).toBeLessThanOrEqual(block.length * (step * 1.001) ** 2 + 1e-12);
          }
        }
      }),
    );
  });

  test("values that lie on a grid come back as they were", () => {
    const grid = fc.record({ zero: fc.integer({ min: 0, max: 2 ** bits - 1 }), scale: fc.constantFrom(1, 0.25, 3) });
    fc.assert(
      fc.property(grid, fc.array(fc.nat(2 ** bits - 1), { minLength: 30, maxLength: 30 }), ({ zero, scale }, codes) => {
        // both ends are there, so that the range is known
        const values = Float32Array.from([0, 2 ** bits - 1, ...codes], (code) => scale * (code - zero));
        expect(unpackRows(packRows(values, 1, 32, bits), 1, 32, bits)).toEqual(values.map((value) => value + 0));
      }),
    );
  });
});

test("GGUF's blocks about zero keep every value; those with minima are refused", () => {
  const bytes = fc.uint8Array({ minLength: 64, maxLength: 64 });
  fc.assert(
    fc.property(
      bytes,
      fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: 4, maxLength: 4 }),
      (codes, scales) => {
        const blocks: Blocks = { codes, scales: float32ToFloat16(Float32Array.from(scales)) };
        const expected = new Float32Array(128);
        dequantise(blocks, expected);
        const packed = packBlocks(blocks, 2, 64)!;
        // zeros lose their sign
        expect([...unpackRows(packed, 2, 64, 4)].map((x) => x + 0)).toEqual([...expected].map((x) => x + 0));
        expect(packBlocks({ ...blocks, minima: blocks.scales }, 2, 64)).toBeUndefined();
      },
    ),
  );
});

test("sizes are those of what is packed", () => {
  const { codeBytes, scales, zeroBytes } = nbitsSizes(3, 70, 4);
  const packed = packRows(new Float32Array(210), 3, 70, 4);
  expect([packed.codes.length, packed.scales.length, packed.zeroPoints.length]).toEqual([codeBytes, scales, zeroBytes]);
  expect([...unpackRows(packed, 3, 70, 4)]).toEqual(Array.from({ length: 210 }, () => 0));
});
