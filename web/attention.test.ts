// Words of tokens, what is drawn of them, and how it is said.
import { expect, it } from "vitest";
import { heatOf, placeOf, wordsOf } from "./attention.ts";

const token = (text: string, ...patches: number[]) => ({ text, weights: [[patches]] });

it("joins tokens to words whose weights are their mean", () => {
  const words = wordsOf([
    token("A", 0.1, 0),
    token(" gr", 0.2, 0),
    token("een", 0, 0.4),
    token(" cat\n", 0.1, 0.1),
    token("It", 0, 0),
  ]);
  expect(words.map(({ text }) => text)).toEqual(["A", " green", " cat\n", "It"]);
  expect(words.map(({ text }) => text).join("")).toBe("A green cat\nIt");
  expect(words[1]!.weights).toEqual([[[0.1, 0.2]]]);
  expect(words[1]!.seen).toBeCloseTo(0.3);
});

it("draws weights up to 1, or what sets a word apart from the rest", () => {
  const words = wordsOf([token("a", 0.3, 0.1), token(" b", 0.1, 0.3)]);
  expect(heatOf(words[0]!, words, false)).toEqual([[[1, 0.1 / 0.3]]]);
  expect(heatOf(words[0]!, words, true)[0]![0]!.map((x) => Number(x.toFixed(6)))).toEqual([1, 0]);
  const nothing = wordsOf([token("a", 0, 0)]);
  expect(heatOf(nothing[0]!, nothing, true)).toEqual([[[0, 0]]]);
});

it("says where most of it lies", () => {
  const grid = { rows: 2, columns: 2 };
  expect(placeOf([1, 0, 0, 0], grid)).toBe("at the top left");
  expect(placeOf([0, 1, 0, 1], grid)).toBe("on the right");
  expect(placeOf([1, 1, 1, 1], grid)).toBe("in the middle");
  expect(placeOf([0, 0, 0, 0], grid)).toBe("nowhere in particular");
});
