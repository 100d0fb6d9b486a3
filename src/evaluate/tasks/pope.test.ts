// POPE: LLaVA's reading of answers, the figures, and question files that are wrong.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { scoreOf } from "../score.ts";
import type { Answered, Question } from "../task.ts";
import { pope, readYesNo } from "./pope.ts";

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "pope-"))));
afterAll(() => rm(folder, { recursive: true }));

it.each([
  ["Yes", "yes"],
  ["yes, there is", "yes"],
  ["No.", "no"],
  ["no", "no"],
  ["No, there is no dog.", "no"],
  ["There is not a dog", "no"],
  ["There is. No more", "yes"],
  ["not", "no"],
  // commas go before words are told apart, other marks do not
  ["Sure,no", "yes"],
  ["No!", "yes"],
  ["NO", "yes"],
  ["nothing is there", "yes"],
  ["", "yes"],
  // words are parted by spaces alone
  ["Well\nno", "yes"],
])("reads %j as %s", (answer, said) => expect(readYesNo(answer)).toBe(said));

const answered = (label: string, answer: string): Answered => ({
  question: { id: "1", images: ["a"], turn: { role: "user", content: [] }, label, where: "" },
  answer,
});

it("counts as POPE does", () => {
  // TP 3, FP 1, TN 2, FN 2
  const all = [
    ...[1, 2, 3].map(() => answered("yes", "Yes.")),
    answered("no", "yes"),
    ...[1, 2].map(() => answered("no", "No.")),
    ...[1, 2].map(() => answered("yes", "no")),
  ];
  expect(scoreOf(pope, all)).toEqual({
    n: 8,
    accuracy: 5 / 8,
    precision: 3 / 4,
    recall: 3 / 5,
    f1: (2 * (3 / 4) * (3 / 5)) / (3 / 4 + 3 / 5),
    yes_ratio: 4 / 8,
  });
});

it("gives shares from 0 to 1 for any answers, and all of them for right ones", () => {
  const some = fc.array(fc.tuple(fc.constantFrom("yes", "no"), fc.constantFrom("Yes.", "no", "not here", "")));
  fc.assert(
    fc.property(some, (pairs) => {
      const { n, ...shares } = scoreOf(
        pope,
        pairs.map(([label, answer]) => answered(label, answer)),
      );
      expect(n).toBe(pairs.length);
      for (const value of Object.values(shares) as number[]) expect(value >= 0 && value <= 1).toBe(true);
    }),
  );
  expect(scoreOf(pope, [answered("yes", "yes"), answered("no", "no")])).toMatchObject({
    accuracy: 1,
    f1: 1,
    yes_ratio: 0.5,
  });
});

async function read(text: string): Promise<Question[]> {
  const path = join(folder, "questions.jsonl");
  await writeFile(path, text);
  const questions: Question[] = [];
  for await (const question of pope.questions(path)) questions.push(question);
  return questions;
}

it("reads questions as they are written, each with its picture before it", async () => {
  const line = { question_id: 7, image: "a/b.jpg", text: "Is there a <image> dog?", label: "no" };
  const [question] = await read(`${JSON.stringify(line)}\n`);
  expect(question).toMatchObject({ id: "7", images: ["a/b.jpg"], label: "no" });
  expect(question!.turn.content).toEqual([{ type: "image" }, { type: "text", text: "\nIs there a <image> dog?" }]);
});

it.each([
  ['"text"', "QUESTION_SHAPE"],
  ['{"question_id": 1, "image": "a.jpg", "text": "?", "label": "maybe"}', "QUESTION_SHAPE"],
  ['{"question_id": 1, "image": "a.jpg", "text": 5, "label": "no"}', "QUESTION_SHAPE"],
  ['{"image": "a.jpg", "text": "?", "label": "no"}', "QUESTION_SHAPE"],
  ['{"question_id": 1, "image": "../a.jpg", "text": "?", "label": "no"}', "PICTURE_PATH"],
  ['{"question_id": 1, "image": "a.jpg", "te', "JSON_INVALID"],
])("refuses %s, naming the line", async (line, code) => {
  const good = '{"question_id": 0, "image": "a.jpg", "text": "?", "label": "no"}\n';
  await expect(read(good + line)).rejects.toMatchObject({
    code,
    message: expect.stringContaining("questions.jsonl:2"),
  });
});
