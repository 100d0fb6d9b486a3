import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openParquet } from "./parquet.ts";
import { streamParquetSamples } from "./parquet-samples.ts";
import type { Sample } from "./sample.ts";
import { writeSamples } from "./samples.ts";
import { parseSplits, splitOf } from "./splits.ts";

const folder = mkdtempSync(join(tmpdir(), "parquet-"));
afterAll(() => rmSync(folder, { recursive: true }));
const jpeg = (mark: number): Uint8Array => Uint8Array.from([0xff, 0xd8, 0xff, 0xe0, mark, 1, 2, 3]);
writeFileSync(join(folder, "a.jpg"), jpeg(1));
writeFileSync(join(folder, "b.jpg"), jpeg(2));

const samples: Sample[] = [
  {
    id: "1",
    images: ["a.jpg"],
    conversations: [
      { from: "human", value: "<image>\nWhat is this?" },
      { from: "gpt", value: 'A "dog" — 犬.\nOn a sofa.' },
      { from: "human", value: "And?" },
      { from: "gpt", value: "" },
    ],
    extra: { teacher: "m", kind: "vqa", n: 3, nested: { a: [1, null] } },
    where: "",
  },
  {
    id: "2",
    images: [],
    conversations: [
      { from: "human", value: "Hi" },
      { from: "gpt", value: "Hello" },
    ],
    extra: {},
    where: "",
  },
  {
    id: "3",
    images: ["a.jpg", "b.jpg"],
    conversations: [
      { from: "human", value: "What differs?\n<image><image>" },
      { from: "gpt", value: "All." },
    ],
    extra: {},
    where: "",
  },
];

async function read(path: string): Promise<{ samples: Sample[]; pictures: (readonly Uint8Array[])[] }> {
  const found: Sample[] = [];
  const pictures: (readonly Uint8Array[])[] = [];
  for await (const each of streamParquetSamples(path)) {
    found.push({ ...each.sample, where: "" });
    pictures.push(each.pictures);
  }
  return { samples: found, pictures };
}

describe("samples as Parquet", () => {
  test("come back as they were, with their pictures", async () => {
    const path = join(folder, "x.parquet");
    await writeSamples(path, samples, folder);
    const back = await read(path);
    expect(back.samples).toEqual(samples);
    expect(back.pictures.map((list) => list.map((bytes) => bytes[4]))).toEqual([[1], [], [1, 2]]);
    expect((await openParquet(path)).columns).toEqual(["id", "images", "messages", "metadata"]);
  });

  test("none, and many groups of rows", async () => {
    const path = join(folder, "many.parquet");
    await writeSamples(path, [], folder);
    expect((await read(path)).samples).toEqual([]);
    const many = Array.from({ length: 2500 }, (_, i): Sample => ({ ...(samples[1] as Sample), id: String(i) }));
    await writeSamples(path, many, folder);
    expect((await read(path)).samples).toEqual(many);
  });

  test("need their pictures", async () => {
    const path = join(folder, "no.parquet");
    await expect(writeSamples(path, samples)).rejects.toMatchObject({ code: "PARQUET_IMAGES" });
    const gone = { ...(samples[0] as Sample), images: ["gone.jpg"] };
    await expect(writeSamples(path, [gone], folder)).rejects.toMatchObject({ code: "PICTURE_MISSING" });
  });
});

describe("splits", () => {
  const splits = parseSplits("test=0.2, validation=0.1");

  test("put every picture into one, in about the shares, and samples with theirs", () => {
    const names = Array.from({ length: 5000 }, (_, i) => `${i}.jpg`);
    const where = new Map(names.map((name) => [name, splitOf([name], splits)]));
    const count = (split: string): number => [...where.values()].filter((each) => each === split).length;
    expect(Math.abs(count("test") - 1000)).toBeLessThan(120);
    expect(Math.abs(count("validation") - 500)).toBeLessThan(90);
    const [a, b] = ["train", "test"].map((split) => names.find((name) => where.get(name) === split) as string);
    expect([splitOf([], splits), splitOf([a as string, b as string], splits)]).toEqual(["train", undefined]);
  });

  test.each(["test", "test=1", "test=0.5,val=0.5", "train=0.1", "a=0.1,a=0.1", "test=2"])("%s is refused", (text) => {
    expect(() => parseSplits(text)).toThrow(/--split/);
  });
});
