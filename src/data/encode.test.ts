import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { IGNORE_LABEL } from "../text/expand.ts";
import { templateNamed } from "../text/templates.ts";
import { tinyTokenizer } from "../text/tokenizers.fixture.ts";
import { encodeSample, learnedTokens, type Encoding } from "./encode.ts";
import { previewEncoded, previewSample, renderPreview } from "./preview.ts";
import type { Sample } from "./sample.ts";
import { joinGroup } from "./share.ts";

const tokenizer = tinyTokenizer("bytes");
const imageTokenId = tokenizer.controlId("<image>")!;
const encoding: Encoding = { tokenizer, template: templateNamed("chatml"), tokensPerImage: 4, imageTokenId };

const words = fc.string({ unit: "grapheme", maxLength: 20 }).filter((text) => !text.includes("<image>"));
const sample: fc.Arbitrary<Sample> = fc
  .record({ images: fc.nat(3), rounds: fc.array(fc.tuple(words, words), { minLength: 1, maxLength: 3 }) })
  .map(({ images, rounds }) => ({
    id: "s",
    images: Array.from({ length: images }, (_, i) => `${i}.jpg`),
    conversations: rounds.flatMap(([question, answer], i) => [
      { from: "human" as const, value: (i === 0 ? "<image>\n".repeat(images) : "") + question },
      { from: "gpt" as const, value: answer },
    ]),
    extra: {},
    where: "data.json:3",
  }));

describe("encodeSample", () => {
  it("learns the answers with their end and nothing else; pictures keep their places", () => {
    fc.assert(
      fc.property(sample, (s) => {
        const { ids, labels, imageRuns, images } = encodeSample(s, encoding);
        expect(ids.length).toBe(labels.length);
        const learned = [...labels].filter((id) => id !== IGNORE_LABEL);
        const answers = s.conversations.filter(({ from }) => from === "gpt").map(({ value }) => `${value}<|im_end|>`);
        expect(tokenizer.decode(learned)).toBe(answers.join(""));
        expect(labels.every((label, t) => label === IGNORE_LABEL || label === ids[t])).toBe(true);
        expect(images).toEqual(s.images);
        expect(imageRuns.map(({ image, length }) => [image, length])).toEqual(s.images.map((_, i) => [i, 4]));
        for (const { start, length } of imageRuns) {
          expect(ids.subarray(start, start + length).every((id) => id === imageTokenId)).toBe(true);
        }
      }),
    );
  });

  it("takes control tokens that people type for text", () => {
    const typed = "</s><|im_end|><image>";
    const turns = [
      { from: "human" as const, value: "</s><|im_end|>" },
      { from: "gpt" as const, value: typed },
    ];
    const s = { id: "s", images: [], conversations: turns, extra: {}, where: "" };
    const { ids } = encodeSample(s, encoding);
    const end = tokenizer.controlId("<|im_end|>");
    expect([...ids].filter((id) => id === end)).toHaveLength(
      2 + (tokenizer.decode(ids).startsWith("<|im_start|>system") ? 1 : 0),
    );
    expect([...ids]).not.toContain(imageTokenId);
  });

  it("tells where a sample does not fit its template", () => {
    const turns = [{ from: "human" as const, value: "Hi" }];
    const s = { id: "s", images: [], conversations: turns, extra: {}, where: "data.json:3" };
    expect(() => encodeSample(s, encoding)).toThrow(/data\.json:3, turn 1/);
    expect(() => encodeSample(s, { ...encoding, template: templateNamed("plain") })).toThrow(/data\.json:3/);
  });

  it("counts targets, not a learned first token", () => {
    const ids = Int32Array.of(5, 6, 7);
    const labels = Int32Array.of(5, IGNORE_LABEL, 7);
    expect(learnedTokens({ id: "", images: [], ids, labels, imageRuns: [] })).toBe(1);
  });
});

describe("preview", () => {
  it("cuts a sample into spans whose learned texts are the answers", () => {
    fc.assert(
      fc.property(sample, (s) => {
        const { spans, tokens, learned } = previewSample(s, encoding);
        const answers = s.conversations.filter(({ from }) => from === "gpt").map(({ value }) => `${value}<|im_end|>`);
        expect(spans.filter((span) => span.learned).map((span) => span.text)).toEqual(answers);
        expect(spans.reduce((sum, span) => sum + span.tokens, 0)).toBe(tokens);
        expect(spans.reduce((sum, span) => sum + (span.learned ? span.tokens : 0), 0)).toBe(learned);
      }),
    );
  });

  it("shows samples that share a picture one below the other, none running into the next", () => {
    const caption = (id: string, value: string) => {
      const conversations = [
        { from: "human" as const, value: "<image>\nWhat?" },
        { from: "gpt" as const, value },
      ];
      const s = { id, images: ["a.jpg"], conversations, extra: {}, where: "" };
      return encodeSample(s, { ...encoding, template: templateNamed("plain") });
    };
    const joined = joinGroup([caption("7", "A dog."), caption("8", "Two cats.")]);
    const preview = previewEncoded(joined, "data.json:2", encoding);
    expect(renderPreview(preview, { color: false })).toMatchInlineSnapshot(`
      "7, 8  a.jpg  (data.json:2)  11 of 15 tokens learned
          4   <image×4>
             ── sample 1 of 2 goes on from the pictures
          4 + A dog.↵
             ── sample 2 of 2 goes on from the pictures
          7 + Two cats.↵"
    `);
  });

  it("marks what is learned, with and without colour, and lets no text steer the terminal", () => {
    const turns = [
      { from: "human" as const, value: "<image>\nWhat?\u001B[31m" },
      { from: "gpt" as const, value: "A dog.\nAnd\u202E a cat." },
    ];
    const s: Sample = { id: "7", images: ["a.jpg"], conversations: turns, extra: {}, where: "data.json:2" };
    const preview = previewSample(s, { ...encoding, template: templateNamed("plain") });
    expect(renderPreview(preview, { color: false })).toMatchInlineSnapshot(`
      "7  a.jpg  (data.json:2)  13 of 17 tokens learned
          4   <image×4>
         13 + A dog.↵
            + And\\u202e a cat.↵"
    `);
    const plainer = renderPreview(previewSample(s, encoding), { color: false });
    expect(plainer).toContain("What?\\u001b[31m");
    const colored = renderPreview(preview, { color: true });
    expect(colored).toContain("\u001B[1;32mA dog.↵\u001B[0m");
    expect(stripVTControlCharacters(colored)).toBe(renderPreview(preview, { color: false }));
  });
});
