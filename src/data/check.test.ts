import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lab } from "../../test/lab.ts";
import { templateNamed } from "../text/templates.ts";
import { labTokenizer, tinyTokenizer } from "../text/tokenizers.fixture.ts";
import { checkSamples, type CheckProgress } from "./check.ts";
import { learnedTokens, type Encoding } from "./encode.ts";
import type { Sample } from "./sample.ts";
import { sampleToJson, writeSamples } from "./samples.ts";
import { openSource } from "./sources/open.ts";

const folder = mkdtempSync(join(tmpdir(), "check-"));
const imagesRoot = join(folder, "images");
const path = join(folder, "data.json");
afterAll(() => rmSync(folder, { recursive: true }));

const tokenizer = tinyTokenizer("bytes");
const encoding: Encoding = {
  tokenizer,
  template: templateNamed("chatml"),
  tokensPerImage: 16,
  imageTokenId: tokenizer.controlId("<image>")!,
};

beforeAll(async () => {
  mkdirSync(imagesRoot);
  const noise = sharp({ create: { width: 40, height: 30, channels: 3, background: "red" } });
  const jpeg = await noise.jpeg().toBuffer();
  writeFileSync(join(imagesRoot, "good.jpg"), jpeg);
  writeFileSync(join(imagesRoot, "cut.jpg"), jpeg.subarray(0, jpeg.length - 40));
  writeFileSync(join(imagesRoot, "empty.jpg"), "");
  writeFileSync(join(imagesRoot, "text.jpg"), "This is no picture at all, whatever its name says.");
  writeFileSync(join(imagesRoot, "dot.png"), await noise.clone().resize(1, 1).png().toBuffer());
  writeFileSync(join(imagesRoot, "line.png"), await noise.clone().resize(30_000, 1, { fit: "fill" }).png().toBuffer());
});

const talk = (id: string, image?: string, answer = "A dog."): Sample => ({
  id,
  images: image === undefined ? [] : [image],
  conversations: [
    { from: "human", value: image === undefined ? "Hi" : "<image>\nWhat is it?" },
    { from: "gpt", value: answer },
  ],
  extra: {},
  where: "",
});

describe("checkSamples", () => {
  it("sums up what training will see", async () => {
    await writeSamples(path, [talk("a", "good.jpg"), talk("b"), talk("c", "good.jpg", "Yes")]);
    const progress: CheckProgress[] = [];
    const options = { imagesRoot, encoding, maxTokens: 200, onProgress: (p: CheckProgress) => progress.push(p) };
    const { samples, encoded, sums, problems, duplicateIds } = await checkSamples(path, options);
    problems.refuse(path);
    expect(samples.map(({ id }) => id)).toEqual(["a", "b", "c"]);
    expect(encoded.map(({ id }) => id)).toEqual(["a", "b", "c"]);
    expect(sums).toEqual({
      samples: 3,
      pictures: 1,
      turns: 6,
      tokens: encoded.reduce((sum, { ids }) => sum + ids.length, 0),
      learnedTokens: encoded.reduce((sum, sample) => sum + learnedTokens(sample), 0),
      longest: Math.max(...encoded.map(({ ids }) => ids.length)),
      skipped: 0,
    });
    expect(duplicateIds).toEqual([]);
    expect(progress).toContainEqual({ stage: "pictures", done: 1, total: 1 });
    expect(progress).toContainEqual({ stage: "tokens", done: 3, total: 3 });
  });

  it("finds every problem in one go and keeps the good samples", async () => {
    const bad = ["cut.jpg", "empty.jpg", "text.jpg", "dot.png", "line.png", "gone.jpg"];
    const good = sampleToJson(talk("good", "good.jpg"));
    const list = [
      ...bad.map((image) => sampleToJson(talk(image, image))),
      good,
      good,
      { ...good, conversations: [] },
      { ...good, image: "../good.jpg" },
      { ...good, image: ["good.jpg", "good.jpg"] },
      sampleToJson(talk("silent", "good.jpg", " ")),
      sampleToJson(talk("long", "good.jpg", "word ".repeat(300))),
    ];
    writeFileSync(path, `[${list.map((sample) => JSON.stringify(sample)).join(",\n")},\n{"id": `);
    const { samples, problems, duplicateIds } = await checkSamples(path, { imagesRoot, encoding, maxTokens: 100 });
    expect(problems.counts).toEqual({
      JSON_INVALID: 1,
      SAMPLE_EMPTY: 1,
      PICTURE_PATH: 1,
      SAMPLE_IMAGES: 1,
      SAMPLE_NOTHING_TO_LEARN: 1,
      SAMPLE_TOO_LONG: 1,
      PICTURE_TRUNCATED: 1,
      PICTURE_EMPTY: 1,
      PICTURE_FORMAT: 1,
      PICTURE_SIZE: 2,
      PICTURE_MISSING: 1,
    });
    expect(problems.total).toBe(12);
    expect(samples.map(({ id }) => id)).toEqual([...bad, "good", "good"]);
    expect(duplicateIds).toEqual(["good"]);
    const places = Object.fromEntries(problems.first.map(({ code, details }) => [code, details.where]));
    expect(places["JSON_INVALID"]).toBe(`${path}:14:8`);
    expect(places["SAMPLE_EMPTY"]).toBe(`${path}:9`);
    expect(places["PICTURE_TRUNCATED"]).toBe(`${join(imagesRoot, "cut.jpg")}, named in ${path}:1`);
    expect(() => problems.refuse(path)).toThrow(expect.objectContaining({ code: "DATA_PROBLEMS", exitCode: 2 }));
    expect(() => problems.refuse(path)).toThrow(/2 × PICTURE_SIZE.*llava data check/);
  });

  it("says how long a sample is, what fits and how many there are, and cuts none", async () => {
    await writeSamples(
      path,
      ["a", "b"].map((id) => talk(id, "good.jpg", "word ".repeat(id === "a" ? 200 : 100))),
    );
    const all = await checkSamples(path, { encoding });
    const { problems, sums } = await checkSamples(path, { encoding, maxTokens: 50 });
    expect(sums.longest).toBe(all.sums.longest);
    expect(problems.counts).toEqual({ SAMPLE_TOO_LONG: 2 });
    const message = `at most 50 tokens, pictures included, got 2 longer samples, the longest ${sums.longest} tokens, 16 of them for 1 picture`;
    expect(() => problems.refuse(path)).toThrow(message);
    expect((await checkSamples(path, { encoding, maxTokens: sums.longest })).problems.total).toBe(0);
    expect((await checkSamples(path, { encoding, maxTokens: sums.longest - 1 })).problems.total).toBe(1);
  });

  it("leaves out samples that teach nothing when told to, and counts them", async () => {
    await writeSamples(path, [talk("a"), talk("b", undefined, ""), talk("c", undefined, "\n")]);
    const { samples, encoded, sums, problems } = await checkSamples(path, { encoding, nothingToLearn: "skip" });
    expect([samples.length, encoded.length, sums.skipped, problems.total]).toEqual([1, 1, 2, 0]);
  });

  it("throws one problem as itself", async () => {
    await writeSamples(path, [talk("a", "cut.jpg")]);
    const { problems } = await checkSamples(path, { imagesRoot });
    expect(() => problems.refuse(path)).toThrow(expect.objectContaining({ code: "PICTURE_TRUNCATED" }));
  });

  it("counts thousands of problems and keeps fifty", async () => {
    await writeSamples(
      path,
      Array.from({ length: 3000 }, (_, i) => talk(String(i), `${i}.jpg`)),
    );
    const { problems } = await checkSamples(path, { imagesRoot });
    expect([problems.first.length, problems.counts]).toEqual([50, { PICTURE_MISSING: 3000 }]);
    expect(problems.first[0]!.details.where).toMatch(/0\.jpg, named in .*:2$/);
    expect(() => problems.refuse(path)).toThrow(expect.objectContaining({ code: "PICTURE_MISSING" }));
  });

  it("refuses a file without samples, no file, and no images folder", async () => {
    writeFileSync(path, "[]");
    expect((await checkSamples(path)).problems.counts).toEqual({ SAMPLES_EMPTY: 1 });
    await expect(checkSamples(join(folder, "none.json"))).rejects.toMatchObject({ code: "FILE_MISSING" });
    await writeSamples(path, [talk("a", "good.jpg")]);
    const nowhere = checkSamples(path, { imagesRoot: join(folder, "nowhere") });
    await expect(nowhere).rejects.toMatchObject({ code: "IMAGES_FOLDER" });
  });

  it.skipIf(!lab.present)("checks 2,306 photos and their captions in seconds (needs ../shared)", async () => {
    const source = await openSource(lab.path("data/coco"));
    const samples: Sample[] = [];
    for await (const { id, image, captions } of source.pictures()) samples.push(talk(id, image, captions[0]));
    await writeSamples(path, samples);
    const real = labTokenizer("smollm2-135m-instruct");
    const started = performance.now();
    const options = { imagesRoot: source.imagesRoot, encoding: { ...encoding, tokenizer: real, tokensPerImage: 49 } };
    const { sums, problems } = await checkSamples(path, { ...options, maxTokens: 256 });
    expect(performance.now() - started).toBeLessThan(30_000);
    expect([sums.pictures, sums.samples, problems.total]).toEqual([2306, 2306, 0]);
  });
});
