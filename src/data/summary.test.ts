import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { answerKind, lengthHistogram, summarise } from "./summary.ts";

describe("answerKind", () => {
  it.each([
    ["Yes.", "yes"],
    ["no, there is not", "no"],
    ["Nobody", "phrase"],
    ["No-one is there to be seen", "sentence"],
    ["3", "number"],
    ["Two.", "number"],
    ["2.5", "number"],
    ["twofold", "phrase"],
    ["a red bus", "phrase"],
    ["A red bus drives along the street.", "sentence"],
    ["A bus. It is red.", "paragraph"],
    [" \n", "empty"],
  ])("%j is %s", (answer, kind) => {
    expect(answerKind(answer)).toBe(kind);
  });
});

it("counts samples, pictures, questions and the share of yes", () => {
  const sample = (images: string[], ...values: string[]) => ({
    id: "",
    images,
    conversations: values.map((value, i) => ({ from: i % 2 === 0 ? ("human" as const) : ("gpt" as const), value })),
    extra: {},
    where: "",
  });
  const list = [
    sample(["a.jpg"], "<image>\nIs it a dog?", "Yes.", "A cat?", "No."),
    sample(["b.jpg", "a.jpg"], "<image><image>Is it a dog?", "Yes"),
    sample([], "Hi", "Hello there"),
  ];
  const summary = summarise(list);
  expect(summary).toMatchObject({ samples: 3, pictures: 2, textOnly: 1, turns: 8, questions: 3, yesShare: 2 / 3 });
  expect(summary.answers).toEqual({ yes: 2, no: 1, number: 0, phrase: 1, sentence: 0, paragraph: 0, empty: 0 });
  expect(summarise([list[2]!]).yesShare).toBeUndefined();
});

it("puts every length into the bucket that holds it", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 5000 })), (lengths) => {
      const buckets = lengthHistogram(lengths);
      for (const { from, to, count } of buckets) {
        expect(count).toBe(lengths.filter((length) => from <= length && length <= to).length);
      }
      expect(buckets.reduce((sum, { count }) => sum + count, 0)).toBe(lengths.length);
      for (const [i, { from }] of buckets.slice(1).entries()) expect(from).toBe(buckets[i]!.to + 1);
    }),
  );
});
