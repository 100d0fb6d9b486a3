// Which pixels a picture's views become, and that the cache keeps them apart.
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { tinyModel } from "../../test/tiny-model.ts";
import { encodePng } from "../image/node.ts";
import { parsePreprocessor } from "../image/preprocessor.ts";
import { createPictureEncoder } from "../models/encode-pictures.ts";
import { createDirectEngine } from "../runtime/direct-node.ts";
import type { Engine } from "../runtime/engine.ts";
import { cacheFeatures, pictureName, type PictureSource, preparePicture } from "./features.ts";

const side = 16;
const preprocessor = parsePreprocessor({ image_processor_type: "ViTImageProcessor", size: side }, "test");
const { config, vision } = tinyModel();
let folder: string;
let engine: Engine;
let bytes: Uint8Array;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-views-"));
  engine = await createDirectEngine({ threads: 1 });
  const data = Uint8Array.from({ length: side * side * 3 }, (_, i) => (i * 7 + ((i * i) % 11)) % 256);
  bytes = await encodePng({ width: side, height: side, data });
  await writeFile(join(folder, "a.png"), bytes);
});
afterAll(async () => {
  await engine.close();
  await rm(folder, { recursive: true, force: true });
});

const plain = (): PictureSource => ({ root: folder, image: "a.png" });

it("flips a mirrored picture's rows of pixels", async () => {
  const straight = await preparePicture(plain(), bytes, preprocessor);
  const mirrored = await preparePicture({ ...plain(), mirrored: true }, bytes, preprocessor);
  const rows = Array.from({ length: 3 * side }, (_, row) => straight.slice(row * side, (row + 1) * side).reverse());
  expect([...mirrored]).toEqual(rows.flatMap((row) => [...row]));
});

it("caches a picture, its mirror image and its views apart, as the tower sees each", async () => {
  const views: PictureSource[] = [
    { index: 0, most: 2 },
    { index: 1, most: 2 },
  ].map((view) => ({ ...plain(), view }));
  const pictures = [plain(), { ...plain(), mirrored: true }, ...views];
  const cache = join(folder, "cache");
  const store = await cacheFeatures({ engine, assembly: { config, vision, preprocessor }, pictures, cache });
  expect(new Set(pictures.map(pictureName)).size).toBe(4);
  expect((await readdir(cache, { recursive: true })).filter((name) => name.endsWith(".safetensors"))).toHaveLength(4);
  const encoder = await createPictureEncoder(engine, config, vision, 1);
  for (const picture of pictures) {
    const [expected] = await encoder.encode([await preparePicture(picture, bytes, preprocessor)]);
    const cached = await store.load([pictureName(picture)]);
    // kept as float16
    cached.forEach((x, i) => expect(Math.abs(x - expected![i]!)).toBeLessThan(2e-3 * (1 + Math.abs(x))));
  }
  await encoder.release();
  const again = await cacheFeatures({ engine, assembly: { config, vision, preprocessor }, pictures, cache });
  expect(again.encoded).toBe(0);
});
