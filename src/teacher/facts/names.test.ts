import { expect, test } from "vitest";
import { any, be, cleanName, counted, listed, numberFromWord, numberWord, plural, some } from "./names.ts";

test.each([
  ["dog", "dogs", "a dog", "a dog", "is"],
  ["person", "people", "a person", "a person", "is"],
  ["bus", "buses", "a bus", "a bus", "is"],
  ["wine glass", "wine glasses", "a wine glass", "a wine glass", "is"],
  ["sheep", "sheep", "a sheep", "a sheep", "is"],
  ["knife", "knives", "a knife", "a knife", "is"],
  ["teddy bear", "teddy bears", "a teddy bear", "a teddy bear", "is"],
  ["couch", "couches", "a couch", "a couch", "is"],
  ["berry", "berries", "a berry", "a berry", "is"],
  ["toy", "toys", "a toy", "a toy", "is"],
  ["umbrella", "umbrellas", "an umbrella", "an umbrella", "is"],
  ["unicycle", "unicycles", "a unicycle", "a unicycle", "is"],
  ["hourglass", "hourglasses", "an hourglass", "an hourglass", "is"],
  ["skis", "skis", "skis", "any skis", "are"],
  ["scissors", "scissors", "scissors", "any scissors", "are"],
  ["trees", "trees", "trees", "any trees", "are"],
  ["broccoli", "broccoli", "some broccoli", "any broccoli", "is"],
  ["TV", "TVs", "a TV", "a TV", "is"],
  ["ATM", "ATMs", "an ATM", "an ATM", "is"],
])("%s", (name, many, one, asked, verb) => {
  expect([plural(name), some(name), any(name), be(name)]).toEqual([many, one, asked, verb]);
});

test("names of files become names of sentences", () => {
  expect(["Traffic_Light", " wine  glass", "TV", "DOG HOUSE"].map(cleanName)).toEqual([
    "traffic light",
    "wine glass",
    "TV",
    "dog house",
  ]);
});

test("numbers and lists", () => {
  expect([counted("dog", 1), counted("dog", 3), counted("skis", 2), numberWord(11)]).toEqual([
    "a dog",
    "three dogs",
    "skis",
    "11",
  ]);
  expect(["three", "12", "dog", "1234"].map(numberFromWord)).toEqual([3, 12, undefined, undefined]);
  expect([listed([]), listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])]).toEqual([
    "",
    "a",
    "a and b",
    "a, b and c",
  ]);
});
