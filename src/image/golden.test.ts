// Resizing and preprocessing against Pillow 13 and transformers 5, bit for bit (golden/make.py made the references).
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { lab } from "../../test/lab.ts";
import { readPicture } from "./node.ts";
import type { Pixels } from "./pixels.ts";
import { preprocess } from "./preprocess.ts";
import { parsePreprocessor, type Preprocessor } from "./preprocessor.ts";
import { type Filter, resize, rowsOf } from "./resize.ts";

interface Golden {
  readonly resizes: readonly { from: [number, number]; to: [number, number]; filter: Filter; data: string }[];
  readonly configs: readonly { name: string; config: unknown }[];
  readonly values: readonly { processor: string; from: [number, number]; data: string }[];
  readonly photoConfigs: readonly { name: string; config: unknown }[];
  readonly photos: readonly { photo: string; processor: string; sha256: string }[];
}

const golden = JSON.parse(readFileSync(new URL("golden/golden.json", import.meta.url), "utf8")) as Golden;

/** The noise that golden/make.py draws. */
function noise(width: number, height: number): Pixels {
  let state = width * 1000 + height;
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const value = state >>> 24;
    return Math.floor(i / 3) % 4 === 0 ? (value > 127 ? 255 : 0) : value;
  });
  return { width, height, data };
}

function processor(configs: Golden["configs"], name: string): Preprocessor {
  return parsePreprocessor(configs.find((entry) => entry.name === name)!.config, name);
}

function bytesOf(values: Float32Array): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}

describe("resize equals Pillow", () => {
  it.each(golden.resizes)("$filter $from → $to", ({ from: [w, h], to: [width, height], filter, data }) => {
    const resized = resize(rowsOf(noise(w, h)), { width, height }, filter);
    expect([resized.width, resized.height]).toEqual([width, height]);
    expect([...resized.data]).toEqual([...Buffer.from(data, "base64")]);
  });
});

describe("preprocess equals transformers", () => {
  it.each(golden.values)("$processor from $from", ({ processor: name, from: [w, h], data }) => {
    const values = preprocess(noise(w, h), processor(golden.configs, name));
    const expected = Buffer.from(data, "base64");
    expect([...values]).toEqual(Array.from({ length: expected.length / 4 }, (_, i) => expected.readFloatLE(i * 4)));
  });
});

describe.skipIf(!lab.present)("photos from file to tensor equal transformers (needs the lab's shared folder)", () => {
  it.each(golden.photos)("$processor $photo", async ({ photo, processor: name, sha256 }) => {
    const values = preprocess(
      await readPicture(lab.path(`data/coco/photos/${photo}`)),
      processor(golden.photoConfigs, name),
    );
    expect(createHash("sha256").update(bytesOf(values)).digest("hex")).toBe(sha256);
  });
});
