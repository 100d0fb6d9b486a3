// Half floats: every pattern, and rounding against an independent search for the nearest value.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "./half.ts";

const everyPattern = Uint16Array.from({ length: 65536 }, (_, i) => i);
const anyFloat = fc.uint32Array({ minLength: 64, maxLength: 64 }).map((bits) => new Float32Array(bits.buffer));
/** floats whose size is near what float16 can hold, subnormals and overflow included */
const nearFloat16 = fc
  .array(
    fc.tuple(fc.integer({ min: 0x33000000 - 2 ** 24, max: 0x47900000 }), fc.boolean(), fc.integer({ min: 0, max: 15 })),
    {
      minLength: 64,
      maxLength: 64,
    },
  )
  // clearing low bits makes ties frequent
  .map(
    (all) =>
      new Float32Array(
        Uint32Array.from(all, ([x, negative, clear]) => ((x >>> clear) << clear) | (negative ? 1 << 31 : 0)).buffer,
      ),
  );

/** The nearest pattern by search; `values` are the non-negative finite patterns in order, then one step past the largest. */
function nearest(x: number, values: Float64Array): number {
  const magnitude = Math.abs(x);
  const sign = Object.is(x, -0) || x < 0 ? 0x8000 : 0;
  const last = values.length - 1;
  if (magnitude >= values[last]!) return sign | last;
  let low = 0;
  for (let high = last; high - low > 1;) {
    const middle = (low + high) >> 1;
    if (values[middle]! <= magnitude) low = middle;
    else high = middle;
  }
  const below = magnitude - values[low]!;
  const above = values[low + 1]! - magnitude;
  return sign | (below < above || (below === above && low % 2 === 0) ? low : low + 1);
}

const formats = [
  { name: "float16", widen: float16ToFloat32, narrow: float32ToFloat16, infinity: 0x7c00, next: 2 ** 16 },
  { name: "bfloat16", widen: bfloat16ToFloat32, narrow: float32ToBfloat16, infinity: 0x7f80, next: 2 ** 128 },
];

describe.each(formats)("$name", ({ widen, narrow, infinity, next }) => {
  it("gives back every pattern; NaN stays NaN with its sign", () => {
    const back = narrow(widen(everyPattern));
    for (let bits = 0; bits < 65536; bits++) {
      const isNaN = (bits & 0x7fff) > infinity;
      if (isNaN ? (back[bits]! & 0x7fff) <= infinity || (back[bits]! ^ bits) >> 15 !== 0 : back[bits] !== bits) {
        expect.fail(`${bits.toString(16)} came back as ${back[bits]!.toString(16)}`);
      }
    }
  });

  it("rounds to the nearest, ties to even", () => {
    const values = Float64Array.from(widen(everyPattern.subarray(0, infinity + 1)));
    values[infinity] = next;
    fc.assert(
      fc.property(fc.oneof(anyFloat, nearFloat16), (floats) => {
        const bits = narrow(floats);
        floats.forEach((x, i) => {
          if (Number.isNaN(x)) expect(bits[i]! & 0x7fff).toBeGreaterThan(infinity);
          else if (bits[i] !== nearest(x, values)) expect.fail(`${x} became ${bits[i]!.toString(16)}`);
        });
      }),
      { numRuns: 1000 },
    );
  });
});

it("holds the values that IEEE 754 and bfloat16 define", () => {
  const patterns = [0x0000, 0x8000, 0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x7c00, 0xfc00, 0x3555];
  const values = [0, -0, 1, -2, 65504, 2 ** -14, 2 ** -24, Infinity, -Infinity, 0.333251953125];
  expect([...float16ToFloat32(Uint16Array.from(patterns))]).toEqual(values);
  expect([
    ...float32ToFloat16(
      Float32Array.of(65519, 65520, -65520, 2 ** -25, 2 ** -25 * 1.5, 1 + 2 ** -11, 1 + 3 * 2 ** -11),
    ),
  ]).toEqual([0x7bff, 0x7c00, 0xfc00, 0, 1, 0x3c00, 0x3c02]);
  expect([...bfloat16ToFloat32(Uint16Array.of(0x3f80, 0xc049, 0x0001))]).toEqual([1, -3.140625, 2 ** -133]);
});
