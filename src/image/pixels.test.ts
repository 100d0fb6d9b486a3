// Channel layouts and orientation, each against another way to compute them.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { orient, type Orientation, type Pixels, swapsSides, toRgb } from "./pixels.ts";

const byte = fc.nat(255);

describe("toRgb", () => {
  it("composites transparency onto white, rounding to nearest", () => {
    fc.assert(
      fc.property(byte, byte, byte, byte, (r, g, b, alpha) => {
        const over = (value: number): number => Math.round((value * alpha + 255 * (255 - alpha)) / 255);
        expect([...toRgb(Uint8Array.of(r, g, b, alpha), "rgb+alpha")]).toEqual([r, g, b].map(over));
        expect([...toRgb(Uint8Array.of(r, alpha), "grey+alpha")]).toEqual([over(r), over(r), over(r)]);
      }),
    );
  });

  it("takes ink off white", () => {
    expect([...toRgb(Uint8Array.of(0, 0, 0, 0), "cmyk")]).toEqual([255, 255, 255]);
    expect([...toRgb(Uint8Array.of(255, 0, 0, 0), "cmyk")]).toEqual([0, 255, 255]);
    expect([...toRgb(Uint8Array.of(0, 0, 0, 255), "cmyk")]).toEqual([0, 0, 0]);
    expect([...toRgb(Uint8Array.of(0, 128, 255, 127), "cmyk")]).toEqual([128, 64, 0]);
  });

  it("repeats grey", () => {
    expect([...toRgb(Uint8Array.of(7, 200), "grey")]).toEqual([7, 7, 7, 200, 200, 200]);
  });
});

/** Letters in a 3×2 picture, top row first, as they look once upright (EXIF 2.32: where row 0 and column 0 lie). */
const upright: Readonly<Record<Orientation, string>> = {
  1: "abc/def",
  2: "cba/fed",
  3: "fed/cba",
  4: "def/abc",
  5: "ad/be/cf",
  6: "da/eb/fc",
  7: "fc/eb/da",
  8: "cf/be/ad",
};

describe("orient", () => {
  const letters = [..."abcdef"].flatMap((letter) => [letter.charCodeAt(0), 0, 255]);
  const stored: Pixels = { width: 3, height: 2, data: Uint8Array.from(letters) };

  it.each(Object.entries(upright))("turns orientation %s upright", (key, rows) => {
    const orientation = Number(key) as Orientation;
    const { width, height, data } = orient(stored, orientation);
    expect([width, height]).toEqual(swapsSides(orientation) ? [2, 3] : [3, 2]);
    const seen = Array.from({ length: height }, (_, y) =>
      String.fromCharCode(...Array.from({ length: width }, (_, x) => data[(y * width + x) * 3]!)),
    );
    expect(seen.join("/")).toBe(rows);
    expect(data.every((value, i) => i % 3 === 0 || value === [0, 0, 255][i % 3])).toBe(true);
  });
});
