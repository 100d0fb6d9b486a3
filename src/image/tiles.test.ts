// Views against transformers' LlavaNextImageProcessorPil, bit for bit (test/golden/tiles.py made the reference).
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, expect, it } from "vitest";
import { openFile } from "../formats/node.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { parsePreprocessor } from "./preprocessor.ts";
import { pictureView, pictureViews, viewCount } from "./tiles.ts";

const source = await openFile(fileURLToPath(new URL("../../test/golden/tiles.safetensors", import.meta.url)));
const golden = await readSafetensors(source);
afterAll(() => source.close());

const most = 4;
const preprocessor = parsePreprocessor(
  {
    image_processor_type: "CLIPImageProcessor",
    size: { shortest_edge: 8 },
    crop_size: { height: 8, width: 8 },
  },
  "test",
);
const pictures = [...golden.tensors.keys()].filter((name) => name.startsWith("pixels."));

it.each(pictures)("cuts %s as transformers does", async (name) => {
  const { shape, bytes } = await golden.load(name);
  const [height, width] = shape as [number, number];
  const views = pictureViews({ width, height, data: bytes }, preprocessor, most);
  const expected = await golden.loadFloat32(name.replace("pixels", "views"));
  expect(views).toHaveLength(expected.length / (3 * 8 * 8));
  expect(views.flatMap((view) => [...view])).toEqual([...expected]);
});

it("sees small pictures whole alone, and keeps every tile of others inside the limit", () => {
  const sizes = fc.record({ width: fc.integer({ min: 1, max: 60 }), height: fc.integer({ min: 1, max: 60 }) });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 2, max: 9 }), (size, limit) => {
      const count = viewCount(size, preprocessor, limit);
      expect(count === 1 || (count >= 3 && count <= limit + 1)).toBe(true);
      if (size.width <= 8 && size.height <= 8) expect(count).toBe(1);
      const data = new Uint8Array(size.width * size.height * 3).fill(255);
      const white = (255 / 255 - 0.48145466) / 0.26862954;
      const seen = Array.from({ length: count - 1 }, (_, i) =>
        pictureView({ ...size, data }, preprocessor, { index: i + 1, most: limit }),
      );
      // a white picture: every tile has a part of it, and what lies beside it is black
      for (const tile of seen) {
        for (const value of tile.subarray(0, 64)) {
          expect(Math.min(Math.abs(value - white), Math.abs(value + 0.48145466 / 0.26862954))).toBeLessThan(1e-5);
        }
      }
    }),
    { numRuns: 60 },
  );
});
