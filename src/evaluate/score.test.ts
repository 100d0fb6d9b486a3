// Intervals: against a binomial worked out by hand, by picture, and the same each time; paired differences.
import { expect, it } from "vitest";
import { compareAnswers, resultOf } from "./result.ts";
import { differenceOf, intervalsOf, scoreOf, tallied } from "./score.ts";
import type { Answered } from "./task.ts";
import { pope } from "./tasks/pope.ts";

/** One answer about picture `image`, right or wrong. */
const answer = (id: number, image: string, right: boolean, kinds?: string[]): Answered => ({
  question: {
    id: String(id),
    images: [image],
    turn: { role: "user", content: [] },
    label: "yes",
    where: "",
    ...(kinds && { kinds }),
  },
  answer: right ? "Yes" : "No",
});

const accuracy = (answered: readonly Answered[]): readonly number[] =>
  intervalsOf(tallied(pope, answered)).intervals["accuracy"] as [number, number];

it("spreads as a binomial does where every question has its own picture", () => {
  const answered = Array.from({ length: 400 }, (_, i) => answer(i, `${i}.jpg`, i % 4 !== 0));
  const [low, high] = accuracy(answered);
  // 0.75 ± 1.96 · √(0.75 · 0.25 / 400) = 0.7076 … 0.7924
  expect(low).toBeCloseTo(0.7076, 1.9);
  expect(high).toBeCloseTo(0.7924, 1.9);
  expect(accuracy(answered)).toEqual([low, high]);
});

it("draws questions about one picture together", () => {
  // ten questions a picture, all right or all wrong: as certain as 40 questions, not as 400
  const answered = Array.from({ length: 400 }, (_, i) => answer(i, `${Math.floor(i / 10)}.jpg`, i % 40 >= 10));
  const [low, high] = accuracy(answered);
  // 0.75 ± 1.96 · √(0.75 · 0.25 / 40) = 0.616 … 0.884
  expect(Math.abs(low! - 0.616)).toBeLessThan(0.035);
  expect(Math.abs(high! - 0.884)).toBeLessThan(0.035);
  expect(intervalsOf(tallied(pope, answered)).bootstrap).toMatchObject({ level: 0.95, resamples: 1000, units: 40 });
});

it("gives no interval where there is one picture", () => {
  expect(intervalsOf(tallied(pope, [answer(1, "a", true), answer(2, "a", false)])).intervals).toEqual({});
});

it("has figures and intervals for every kind, whatever its name", () => {
  const answered = Array.from({ length: 30 }, (_, i) => answer(i, `${i}`, i % 3 > 0, [i % 2 ? "__proto__" : "n"]));
  const { kinds, intervals } = resultOf(pope, answered);
  expect(Object.keys(kinds!)).toEqual(["__proto__", "n"]);
  expect(kinds!["n"]).toMatchObject({ n: 15, accuracy: 10 / 15 });
  expect(Object.keys(intervals["kinds"]!)).toEqual(["__proto__", "n"]);
});

it("pairs answers: what both get wrong adds no uncertainty", () => {
  const first = Array.from({ length: 200 }, (_, i) => answer(i, `${i}`, i < 100));
  const second = Array.from({ length: 200 }, (_, i) => answer(i, `${i}`, i < 110));
  const compared = compareAnswers(pope, first, second.toReversed());
  expect(compared).toMatchObject({ n: 200, better: 10, worse: 0, same: 190 });
  expect((compared.difference as { accuracy: number }).accuracy).toBeCloseTo(0.05, 12);
  const [low, high] = compared.intervals["accuracy"] as [number, number];
  // 0.05 ± 1.96 · √(0.05 · 0.95 / 200) = 0.020 … 0.080; unpaired it would be ± 0.098
  expect(Math.abs(low - 0.02)).toBeLessThan(0.008);
  expect(Math.abs(high - 0.08)).toBeLessThan(0.008);
  expect(differenceOf(tallied(pope, first), tallied(pope, first)).intervals["accuracy"]).toEqual([0, 0]);
});

it("refuses to compare answers to other questions", () => {
  const [a, b] = [answer(1, "a", true), answer(2, "b", true)];
  for (const second of [[a], [a, answer(3, "b", true)], [a, b, answer(3, "c", true)]])
    expect(() => compareAnswers(pope, [a, b], second)).toThrow(expect.objectContaining({ code: "COMPARE_QUESTIONS" }));
});

it("sums no more than it is given", () => expect(scoreOf(pope, [])).toMatchObject({ n: 0, accuracy: 0 }));
