import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { templateNamed } from "../text/templates.ts";
import { tinyTokenizer } from "../text/tokenizers.fixture.ts";
import type { EncodedSample, Encoding } from "./encode.ts";
import { type CheckedFile, readChecked } from "./read-checked.ts";
import type { Sample } from "./sample.ts";
import { writeSamples } from "./samples.ts";

const root = mkdtempSync(join(tmpdir(), "remember-"));
const imagesRoot = join(root, "images");
const path = join(root, "data.json");
afterAll(() => rmSync(root, { recursive: true }));

const real = tinyTokenizer("bytes");
let asked = 0;
const tokenizer = {
  ...real,
  encode: (...given: Parameters<typeof real.encode>) => {
    asked++;
    return real.encode(...given);
  },
};
const encoding: Encoding = {
  tokenizer,
  template: templateNamed("chatml"),
  tokensPerImage: 16,
  imageTokenId: tokenizer.controlId("<image>")!,
};

const talk = (id: string, images: readonly string[], answer: string): Sample => ({
  id,
  images,
  conversations: [
    { from: "human", value: `${"<image>\n".repeat(images.length)}What is it?` },
    { from: "gpt", value: answer },
  ],
  extra: { kind: id },
  where: "",
});
const samples = [
  talk("a", ["one.png"], "A dog."),
  talk("b", [], "Nothing — süß 🐕"),
  talk("a", ["two.png", "one.png"], "Two"),
];

beforeAll(async () => {
  mkdirSync(imagesRoot);
  const red = sharp({ create: { width: 40, height: 30, channels: 3, background: "red" } });
  for (const name of ["one.png", "two.png"]) await red.clone().png().toFile(join(imagesRoot, name));
  await writeSamples(path, samples);
  // files of this moment may change within a tick: they are not remembered yet
  await setTimeout(2100);
});

let folders = 0;
const newCache = (): string => join(root, `cache-${folders++}`);
const read = (
  folder: string,
  more: { rules?: unknown; maxTokens?: number; from?: string } = {},
): Promise<CheckedFile> => {
  const { rules = "r", maxTokens = 300, from = path } = more;
  const remember = { folder, rules };
  return readChecked(from, { imagesRoot, encoding, maxTokens, withSamples: true, remember });
};
/** How many times the tokenizer was asked meanwhile: 0 when all came from the cache. */
async function askedBy(work: () => Promise<unknown>): Promise<number> {
  const before = asked;
  await work();
  return asked - before;
}
const plain = (encoded: readonly EncodedSample[]): unknown =>
  encoded.map(({ ids, labels, ...rest }) => ({ ...rest, ids: [...ids], labels: [...labels] }));
const tokenFile = (folder: string): string => join(folder, "tokens", readdirSync(join(folder, "tokens"))[0]!);

describe("readChecked", () => {
  it("reads back what it made, and asks no tokenizer for it", async () => {
    const folder = newCache();
    const anew = await readChecked(path, { imagesRoot, encoding, maxTokens: 300, withSamples: true });
    const cold = await read(folder);
    let warm: CheckedFile | undefined;
    expect(await askedBy(async () => (warm = await read(folder)))).toBe(0);
    expect(plain(cold.encoded)).toEqual(plain(anew.encoded));
    expect(plain(warm!.encoded)).toEqual(plain(anew.encoded));
    expect(warm!.samples).toEqual(anew.samples);
  });

  it("makes anew what other bytes, rules or lengths ask for", async () => {
    const folder = newCache();
    await read(folder);
    expect(await askedBy(() => read(folder, { rules: "other" }))).toBeGreaterThan(0);
    expect(await askedBy(() => read(folder, { maxTokens: 299 }))).toBeGreaterThan(0);
    const from = join(root, "changed.json");
    writeFileSync(from, readFileSync(path, "utf8").replace("A dog.", "A cat."));
    // the same size and times as before
    const then = new Date(1e12);
    for (const file of [from, path]) utimesSync(file, then, then);
    expect(await askedBy(() => read(folder, { from }))).toBeGreaterThan(0);
    expect(await askedBy(() => read(folder))).toBe(0);
  });

  it("makes damaged files anew: cut anywhere, any bit turned, more behind the end", async () => {
    const folder = newCache();
    const whole = plain((await read(folder)).encoded);
    const file = tokenFile(folder);
    const good = readFileSync(file);
    const flipped = (at: number): Buffer => Buffer.from(good.map((byte, i) => (i === at ? byte ^ 4 : byte)));
    const places = Array.from({ length: 24 }, (_, i) => Math.floor((i * (good.length - 1)) / 23));
    const damaged = places.flatMap((at) => [good.subarray(0, at), flipped(at)]);
    for (const bytes of [...damaged, Buffer.concat([good, Buffer.alloc(4)])]) {
      writeFileSync(file, bytes);
      let again: CheckedFile | undefined;
      expect(await askedBy(async () => (again = await read(folder)))).toBeGreaterThan(0);
      expect(plain(again!.encoded)).toEqual(whole);
      expect(readFileSync(file).equals(good)).toBe(true);
    }
  });

  it("passes over what a killed writer left", async () => {
    const folder = newCache();
    const whole = plain((await read(folder)).encoded);
    const file = tokenFile(folder);
    const good = readFileSync(file);
    rmSync(file);
    writeFileSync(`${file}.llava-1-0.tmp`, good.subarray(0, good.length / 2));
    expect(await askedBy(() => read(folder))).toBeGreaterThan(0);
    expect(readFileSync(file).equals(good)).toBe(true);
    expect(plain((await read(folder)).encoded)).toEqual(whole);
  });

  it("refuses sections that lie beyond the file, whatever the digest says", async () => {
    const folder = newCache();
    await read(folder);
    const file = tokenFile(folder);
    const forged = Buffer.from(readFileSync(file).toString("latin1").replace('"tokens":', '"tokens":9'), "latin1");
    createHash("sha256").update(forged.subarray(40)).digest().copy(forged, 8);
    writeFileSync(file, forged);
    expect(await askedBy(() => read(folder))).toBeGreaterThan(0);
  });

  it("looks at pictures again that changed or went, and at no others", async () => {
    const folder = newCache();
    await read(folder);
    const picture = join(imagesRoot, "two.png");
    const good = readFileSync(picture);
    writeFileSync(picture, good.subarray(0, good.length - 20));
    await expect(read(folder)).rejects.toThrow(/two\.png, named in .*data\.json:4/);
    rmSync(picture);
    await expect(read(folder)).rejects.toMatchObject({ code: "PICTURE_MISSING" });
    writeFileSync(picture, good);
    expect((await read(folder)).encoded).toHaveLength(3);
  });

  it("works without a folder that can be written", async () => {
    const folder = newCache();
    writeFileSync(folder, "a file where the folder should be");
    expect((await read(folder)).encoded).toHaveLength(3);
  });
});
