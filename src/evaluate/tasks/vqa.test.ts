// Exact match: what counts as the same answer, kinds apart, and questions out of conversations.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { scoreOf } from "../score.ts";
import type { Question } from "../task.ts";
import { normaliseAnswer, vqa } from "./vqa.ts";

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "vqa-"))));
afterAll(() => rm(folder, { recursive: true }));

it.each([
  ["Two dogs.", "2 dogs"],
  ["The left", "left"],
  ["A  Cat!", "cat"],
  ["1,000", "1,000"],
  ["3.5", "3.5"],
  ["It's red, isn't it?", "its red isnt it"],
  ["black-and-white", "black and white"],
  ["３", "3"],
  ["一只猫。", "一只猫"],
  ["The", ""],
])("%j becomes %j", (text, plain) => expect(normaliseAnswer(text)).toBe(plain));

it("normalises once and for all, whatever the case and the spaces", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      const plain = normaliseAnswer(text);
      expect(normaliseAnswer(plain)).toBe(plain);
      expect(normaliseAnswer(`  ${text} `)).toBe(plain);
    }),
  );
});

async function read(samples: readonly unknown[]): Promise<Question[]> {
  const path = join(folder, "samples.json");
  await writeFile(path, JSON.stringify(samples));
  const questions: Question[] = [];
  for await (const question of vqa.questions(path)) questions.push(question);
  return questions;
}

const human = (value: string) => ({ from: "human", value });
const gpt = (value: string) => ({ from: "gpt", value });

it("asks every question of a conversation on its own", async () => {
  const first = [human("<image>\nHow many?"), gpt("2"), human("Which colour?"), gpt("Red.")];
  const [a, b] = await read([{ id: "s", image: "a.jpg", conversations: first, kinds: ["count", "colour"] }]);
  expect(a).toMatchObject({ id: "s-1", images: ["a.jpg"], label: "2", kinds: ["count"] });
  expect(b).toMatchObject({ id: "s-2", images: ["a.jpg"], label: "Red.", kinds: ["colour"] });
  expect(a!.turn.content).toEqual([{ type: "image" }, { type: "text", text: "\nHow many?" }]);
  expect(b!.turn.content).toEqual([{ type: "image" }, { type: "text", text: "\nWhich colour?" }]);
});

it("leaves pictures where the question has them, and takes questions without", async () => {
  const [two, none] = await read([
    {
      id: "t",
      image: ["a.jpg", "b.jpg"],
      kind: "compare",
      conversations: [human("<image> or <image>?"), gpt("the first")],
    },
    { conversations: [human("2 + 2?"), gpt("4"), human("unanswered")] },
  ]);
  expect(two).toMatchObject({ id: "t", kinds: ["compare"] });
  expect(two!.turn.content.map((part) => (part.type === "text" ? part.text : "image"))).toEqual([
    "image",
    " or ",
    "image",
    "?",
  ]);
  expect(none).toMatchObject({ id: "1", images: [], label: "4" });
  expect(none).not.toHaveProperty("kinds");
});

it("scores all, and each kind where kinds are named", async () => {
  const questions = await read([
    { id: "a", kind: "count", conversations: [human("?"), gpt("2")] },
    { id: "b", kind: "count", conversations: [human("?"), gpt("3")] },
    { id: "c", kind: "side", conversations: [human("?"), gpt("The left.")] },
  ]);
  const answers = ["two", "4", "left"];
  const answered = questions.map((question, i) => ({ question, answer: answers[i]! }));
  expect(scoreOf(vqa, answered)).toEqual({
    n: 3,
    accuracy: 2 / 3,
    kinds: { count: { n: 2, accuracy: 1 / 2 }, side: { n: 1, accuracy: 1 } },
  });
  const [plain] = await read([{ conversations: [human("?"), gpt("x")] }]);
  expect(scoreOf(vqa, [{ question: plain!, answer: "y" }])).toEqual({ n: 1, accuracy: 0 });
});
