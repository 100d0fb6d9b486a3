import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KnownPictures } from "./known-pictures.ts";

const folder = mkdtempSync(join(tmpdir(), "known-"));
const picture = join(folder, "a.jpg");
const store = join(folder, "whole-pictures.bin");
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(async () => {
  writeFileSync(picture, "one");
  await setTimeout(2100);
});

async function remember(): Promise<string> {
  const known = await KnownPictures.open(folder);
  const mark = await known.markOf(picture);
  known.add(mark!);
  await known.save();
  return mark!;
}

describe("KnownPictures", () => {
  it("remembers a file until it changes, and nothing that changed just now", async () => {
    const mark = await remember();
    const known = await KnownPictures.open(folder);
    expect(await known.markOf(picture)).toBe(mark);
    expect(known.has(mark)).toBe(true);
    expect(await known.markOf(join(folder, "none.jpg"))).toBeUndefined();
    expect(await known.markOf(folder)).toBeUndefined();
    writeFileSync(join(folder, "b.jpg"), "two");
    expect(await known.markOf(join(folder, "b.jpg"))).toBeUndefined();
  });

  it("knows nothing after damage", async () => {
    const mark = await remember();
    const good = readFileSync(store);
    for (let at = 0; at < good.length; at += 5) {
      for (const bytes of [good.subarray(0, at), good.map((byte, i) => (i === at ? byte ^ 1 : byte))]) {
        writeFileSync(store, bytes);
        expect((await KnownPictures.open(folder)).has(mark)).toBe(false);
      }
    }
    writeFileSync(store, good);
    expect((await KnownPictures.open(folder)).has(mark)).toBe(true);
  });
});
