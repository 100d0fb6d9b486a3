import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import type { Sample } from "./sample.ts";
import { parseSample, readSamples, streamSamples, writeSamples } from "./samples.ts";

const folder = mkdtempSync(join(tmpdir(), "samples-"));
afterAll(() => rmSync(folder, { recursive: true }));

const text = fc.string({ unit: "grapheme" }).filter((value) => !value.includes("<image>"));
const sample: fc.Arbitrary<Omit<Sample, "where">> = fc
  .record({
    id: fc.string(),
    images: fc.array(fc.constantFrom("a.jpg", "b/ü.png", "c d.webp"), { maxLength: 3 }),
    values: fc.array(text, { minLength: 1, maxLength: 5 }),
    extra: fc.dictionary(fc.constantFrom("model", "kind", "toString"), fc.jsonValue()),
  })
  .map(({ id, images, values, extra }) => ({
    id,
    images,
    conversations: values.map((value, i) => ({
      from: i % 2 === 0 ? ("human" as const) : ("gpt" as const),
      value: i === 0 ? "<image>".repeat(images.length) + value : value,
    })),
    extra: JSON.parse(JSON.stringify(extra)) as Record<string, unknown>,
  }));

describe("readSamples and writeSamples", () => {
  it.each(["data.json", "data.jsonl"])("give back what was written to %s, one sample a line", async (name) => {
    const path = join(folder, name);
    await fc.assert(
      fc.asyncProperty(fc.array(sample), async (list) => {
        await writeSamples(
          path,
          list.map((s) => ({ ...s, where: "" })),
        );
        const first = name === "data.json" ? 2 : 1;
        expect(await readSamples(path)).toEqual(list.map((s, i) => ({ ...s, where: `${path}:${i + first}` })));
        if (name === "data.json") JSON.parse(readFileSync(path, "utf8"));
      }),
      { numRuns: 60 },
    );
  });

  it("reads numbers and missing ids as text, and keeps keys named like built-ins as plain data", async () => {
    const path = join(folder, "odd.json");
    const turns = '"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": ""}]';
    writeFileSync(path, `[{"id": 7, ${turns}, "__proto__": {"x": 1}},\n{${turns}, "image": null}]`);
    const [first, second] = await readSamples(path);
    expect([first!.id, second!.id]).toEqual(["7", "1"]);
    expect((first!.extra as { x?: number }).x).toBeUndefined();
    expect(Object.keys(first!.extra)).toEqual(["__proto__"]);
    await writeSamples(path, [first!]);
    expect(readFileSync(path, "utf8")).toContain('"__proto__":{"x":1}');
  });

  it("reads 40,000 samples within 5 seconds, so 158,000 within 20", { timeout: 60_000 }, async () => {
    const path = join(folder, "many.json");
    const answer = "The picture shows a dog that runs along the beach with a ball, seen from the left. ".repeat(8);
    const make = function* (): Generator<Sample> {
      for (let i = 0; i < 40_000; i++) {
        const conversations = [
          { from: "human" as const, value: "<image>\nWhat do you see?" },
          { from: "gpt" as const, value: `${i} ${answer}` },
          { from: "human" as const, value: "And what else?" },
          { from: "gpt" as const, value: answer },
        ];
        yield { id: String(i), images: [`${i}.jpg`], conversations, extra: {}, where: "" };
      }
    };
    await writeSamples(path, make());
    const started = performance.now();
    let count = 0;
    for await (const sample of streamSamples(path)) count += sample.images.length;
    const seconds = (performance.now() - started) / 1000;
    expect(count).toBe(40_000);
    expect(seconds).toBeLessThan(5);
  });
});

const human = { from: "human", value: "<image>\nWhat?" };
const gpt = { from: "gpt", value: "A dog." };
const parse = (value: unknown): Sample => parseSample(value, "data.json:12", 3);

describe("parseSample", () => {
  it("takes a list of pictures, and <image> in an answer as text", () => {
    const turns = [
      { from: "human", value: "<image> or <image>?" },
      { from: "gpt", value: "<image>" },
    ];
    expect(parse({ id: 1, image: ["./a.jpg", "b\\c.jpg"], conversations: turns }).images).toEqual(["a.jpg", "b/c.jpg"]);
  });

  it.each([
    ["no object", 3, "SAMPLE_SHAPE"],
    ["no conversations", { id: 1 }, "SAMPLE_SHAPE"],
    ["conversations that are text", { conversations: "hi" }, "SAMPLE_SHAPE"],
    ["an id that is a list", { id: [], conversations: [{ from: "human", value: "" }] }, "SAMPLE_SHAPE"],
    ["an image that is a number", { image: 3, conversations: [human, gpt] }, "SAMPLE_SHAPE"],
    ["a turn that is text", { conversations: ["hi"] }, "SAMPLE_SHAPE"],
    ["an empty conversation", { conversations: [] }, "SAMPLE_EMPTY"],
    ["a system turn", { conversations: [{ from: "system", value: "" }] }, "SAMPLE_ROLE"],
    ["gpt first", { conversations: [gpt, human] }, "SAMPLE_ORDER"],
    ["two humans", { image: "a.jpg", conversations: [human, { from: "human", value: "x" }] }, "SAMPLE_ORDER"],
    ["a value that is no text", { conversations: [{ from: "human", value: null }] }, "SAMPLE_VALUE"],
    ["more <image> than pictures", { conversations: [human, gpt] }, "SAMPLE_IMAGES"],
    ["fewer <image> than pictures", { image: ["a.jpg", "b.jpg"], conversations: [human, gpt] }, "SAMPLE_IMAGES"],
    ["a path out of the folder", { image: "a/../../b.jpg", conversations: [human, gpt] }, "PICTURE_PATH"],
    ["an absolute path", { image: "/etc/passwd", conversations: [human, gpt] }, "PICTURE_PATH"],
    ["a drive", { image: "C:\\a.jpg", conversations: [human, gpt] }, "PICTURE_PATH"],
    ["a share", { image: "\\\\host\\a.jpg", conversations: [human, gpt] }, "PICTURE_PATH"],
    ["an address", { image: "https://host/a.jpg", conversations: [human, gpt] }, "PICTURE_PATH"],
    ["an empty path", { image: "", conversations: [human, gpt] }, "PICTURE_PATH"],
    ["a zero byte", { image: "a\0.jpg", conversations: [human, gpt] }, "PICTURE_PATH"],
  ])("refuses %s, naming file and line", (_name, value, code) => {
    expect(() => parse(value)).toThrow(expect.objectContaining({ code, exitCode: 2 }));
    expect(() => parse(value)).toThrow(/data\.json:12/);
  });

  it("says what to write for roles of other formats, and both counts of pictures", () => {
    expect(() => parse({ conversations: [{ from: "user", value: "" }] })).toThrow(/write "human"/);
    expect(() => parse({ conversations: [{ from: "toString", value: "" }] })).toThrow(/merge other speakers/);
    const two = { image: "a.jpg", conversations: [{ from: "human", value: "<image><image>" }] };
    expect(() => parse(two)).toThrow(/1 <image> for 1 picture, got 2/);
  });

  it("ends every JSON value in a sample or a typed error", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (id, image, conversations) => {
        for (const value of [conversations, { id, image, conversations }, { conversations: [conversations, image] }]) {
          try {
            parse(value);
          } catch (error) {
            expect(error).toMatchObject({ exitCode: 2 });
          }
        }
      }),
    );
  });
});
