// Pictures take their room in ids and labels, and the mask reads as text.
import fc from "fast-check";
import { expect, it } from "vitest";
import { BugError } from "../errors.ts";
import { partsOf, textTurn } from "./conversation.ts";
import { encodeConversation, IMAGE_PLACEHOLDER } from "./encode.ts";
import { expandImages, IGNORE_LABEL } from "./expand.ts";
import { showMask } from "./show-mask.ts";
import { templateNamed } from "./templates.ts";
import { tinyTokenizer } from "./tokenizers.fixture.ts";

it("writes each picture as often as it has tokens, with the labels beside", () => {
  const encoded = {
    ids: Int32Array.of(1, IMAGE_PLACEHOLDER, 5, IMAGE_PLACEHOLDER, 6, 2),
    learned: Uint8Array.of(0, 0, 0, 0, 1, 1),
    images: 2,
  };
  const none = IGNORE_LABEL;
  expect(expandImages(encoded, [3, 1], 9)).toEqual({
    ids: Int32Array.of(1, 9, 9, 9, 5, 9, 6, 2),
    labels: Int32Array.of(none, none, none, none, none, none, 6, 2),
    imageRuns: [
      { start: 1, length: 3, image: 0 },
      { start: 5, length: 1, image: 1 },
    ],
  });
  for (const counts of [[3], [3, 1, 1], [3, 0], [3, 1.5], [3, Number.NaN]]) {
    expect(() => expandImages(encoded, counts, 9)).toThrow(BugError);
  }
});

it("keeps text and mask, whatever stands between the pictures", () => {
  const symbol = fc.oneof(fc.constant(IMAGE_PLACEHOLDER), fc.nat(100));
  fc.assert(
    fc.property(fc.array(fc.tuple(symbol, fc.boolean())), fc.integer({ min: 1, max: 5 }), (symbols, count) => {
      const ids = Int32Array.from(symbols, ([id]) => id);
      const learned = Uint8Array.from(symbols, ([id, isLearned]) => (isLearned && id !== IMAGE_PLACEHOLDER ? 1 : 0));
      const images = ids.filter((id) => id === IMAGE_PLACEHOLDER).length;
      const expanded = expandImages(
        { ids, learned, images },
        Array.from({ length: images }, () => count),
        777,
      );
      expect([...expanded.ids].filter((id) => id !== 777)).toEqual([...ids].filter((id) => id !== IMAGE_PLACEHOLDER));
      expect([...expanded.labels].filter((id) => id !== IGNORE_LABEL)).toEqual(
        [...ids].filter((_, i) => learned[i] === 1),
      );
      for (const [i, label] of expanded.labels.entries())
        if (label !== IGNORE_LABEL) expect(label).toBe(expanded.ids[i]);
      expect(expanded.imageRuns.map((run) => run.image)).toEqual([...Array(images).keys()]);
      for (const { start, length } of expanded.imageRuns)
        expect([...expanded.ids.subarray(start, start + length)]).toEqual(Array(count).fill(777));
    }),
  );
});

it("shows what is learned", () => {
  const tokenizer = tinyTokenizer("bytes");
  const placeholder = tokenizer.controlId("<image>")!;
  const turns = [
    { role: "user" as const, content: partsOf("<image>\nWhat 🙂?", 1) },
    textTurn("assistant", "Un café 🙂."),
  ];
  const { ids, labels } = expandImages(
    encodeConversation(tokenizer, templateNamed("mistral"), turns),
    [49],
    placeholder,
  );
  const spans = showMask(tokenizer, ids, labels, placeholder);
  expect(spans.map(({ text, learned }) => [text, learned])).toEqual([
    ["[INST] <image×49>\nWhat 🙂? [/INST]", false],
    [" Un café 🙂. </s>", true],
  ]);
  expect(spans.reduce((sum, span) => sum + span.tokens, 0)).toBe(ids.length);
  expect(spans[1]!.tokens).toBe(labels.filter((label) => label !== IGNORE_LABEL).length);
  // a row cut in the middle of a character still shows
  const cut = ids.length - 5;
  expect(showMask(tokenizer, ids.subarray(0, cut), labels.subarray(0, cut), placeholder).at(-1)!.text).toMatch(
    /^ Un café \uFFFD/u,
  );
  expect(showMask(tokenizer, [], [])).toEqual([]);
});
