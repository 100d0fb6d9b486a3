// Padding, cropping and the values that come out.
import { describe, expect, it } from "vitest";
import type { Pixels } from "./pixels.ts";
import { denormalised, fitPixels, preprocess } from "./preprocess.ts";
import { inputSize, parsePreprocessor, withFit } from "./preprocessor.ts";

const clip = parsePreprocessor({ image_processor_type: "CLIPImageProcessor" }, "clip");

function picture(width: number, height: number): Pixels {
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 251) };
}

/** The square that LLaVA-1.5 makes, whole: the same picture that `preprocess` only makes row by row. */
function square({ width, height, data }: Pixels): Pixels {
  const side = Math.max(width, height);
  const [left, top] = [(side - width) >> 1, (side - height) >> 1];
  const out = Uint8Array.from({ length: side * side * 3 }, (_, i) => [122, 116, 104][i % 3]!);
  for (let y = 0; y < height; y++) {
    out.set(data.subarray(y * width * 3, (y + 1) * width * 3), ((top + y) * side + left) * 3);
  }
  return { width: side, height: side, data: out };
}

describe("fitPixels", () => {
  it.each([
    [30, 7],
    [7, 30],
    [200, 199],
    [224, 224],
    [2, 150],
  ])("pads %i×%i like the whole square", (width, height) => {
    const padded = fitPixels(picture(width, height), withFit(clip, "pad"));
    const whole = fitPixels(square(picture(width, height)), withFit(clip, "stretch"));
    expect(Buffer.compare(padded.data, whole.data)).toBe(0);
  });

  it.each(["crop", "pad", "stretch"] as const)("%s always gives the tower's size", (fit) => {
    for (const [width, height] of [
      [2, 200],
      [200, 2],
      [500, 333],
      [224, 224],
    ] as const) {
      const { width: w, height: h, data } = fitPixels(picture(width, height), withFit(clip, fit));
      expect([w, h, data.length]).toEqual([224, 224, 224 * 224 * 3]);
    }
  });
});

describe("preprocess", () => {
  it("returns planes of red, green and blue, normalised", () => {
    const flat: Pixels = { width: 2, height: 3, data: Uint8Array.from({ length: 18 }, (_, i) => [255, 0, 51][i % 3]!) };
    const values = preprocess(flat, clip);
    expect(values.length).toBe(3 * 224 * 224);
    for (const [channel, byte] of [255, 0, 51].entries()) {
      const expected = (byte / 255 - clip.mean[channel]!) / clip.std[channel]!;
      const plane = values.subarray(channel * 224 * 224, (channel + 1) * 224 * 224);
      expect(Math.max(...plane)).toBe(Math.min(...plane));
      expect(plane[0]).toBeCloseTo(expected, 5);
    }
  });
});

describe("denormalised", () => {
  it.each(["CLIPImageProcessor", "SiglipImageProcessor", "ViTImageProcessor"])("%s: gives every byte back", (name) => {
    const preprocessor = parsePreprocessor({ image_processor_type: name }, name);
    const seen = picture(256, 300);
    const back = denormalised(preprocess(seen, preprocessor), inputSize(preprocessor), preprocessor);
    expect(Buffer.compare(back.data, fitPixels(seen, preprocessor).data)).toBe(0);
  });
});
