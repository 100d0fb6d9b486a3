// Properties of resizing that hold for every size and filter.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Pixels } from "./pixels.ts";
import { type Filter, resize, rowsOf } from "./resize.ts";

const side = fc.integer({ min: 1, max: 90 });
const filter = fc.constantFrom<Filter>("bilinear", "bicubic", "lanczos", "box", "hamming");

function picture(width: number, height: number, byte: (i: number) => number): Pixels {
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => byte(i)) };
}

const noise = (i: number): number => (Math.imul(i + 1, 2654435761) >>> 13) & 255;

describe("resize", () => {
  it("keeps one colour", () => {
    fc.assert(
      fc.property(side, side, side, side, filter, fc.nat(255), (w, h, width, height, name, value) => {
        const resized = resize(rowsOf(picture(w, h, () => value)), { width, height }, name);
        expect(resized.data.every((byte) => byte === value)).toBe(true);
      }),
    );
  });

  it("keeps every pixel when the size stays", () => {
    fc.assert(
      fc.property(side, side, filter, (width, height, name) => {
        const source = picture(width, height, noise);
        const resized = resize(rowsOf(source), { width, height }, name);
        expect([resized.width, resized.height]).toEqual([width, height]);
        expect(Buffer.compare(resized.data, source.data)).toBe(0);
      }),
    );
  });

  it("computes of a region what the whole result holds there", () => {
    const regions = fc.record({
      from: fc.tuple(side, side),
      to: fc.tuple(side, side),
      start: fc.tuple(fc.nat(89), fc.nat(89)),
      length: fc.tuple(side, side),
    });
    fc.assert(
      fc.property(regions, filter, ({ from: [w, h], to: [width, height], start, length }, name) => {
        const [left, top] = [start[0] % width, start[1] % height];
        const region = {
          left,
          top,
          width: Math.min(length[0], width - left),
          height: Math.min(length[1], height - top),
        };
        const source = rowsOf(picture(w, h, noise));
        const whole = resize(source, { width, height }, name);
        const part = resize(source, { width, height }, name, region);
        for (let y = 0; y < region.height; y++) {
          const at = ((top + y) * width + left) * 3;
          const row = part.data.subarray(y * region.width * 3, (y + 1) * region.width * 3);
          expect(Buffer.compare(row, whole.data.subarray(at, at + region.width * 3))).toBe(0);
        }
      }),
    );
  });
});
