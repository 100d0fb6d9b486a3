// Answers files scored anew: ours, LLaVA's, ScienceQA's results; files that do not belong together are refused.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { userTurn } from "../generate/assistant.ts";
import { writeAnswers } from "./answers.ts";
import { replayAnswers } from "./replay.ts";
import { resultOf } from "./result.ts";
import { scoreOf } from "./score.ts";
import type { Answered, Question } from "./task.ts";
import { mmbench } from "./tasks/mmbench.ts";
import { pope } from "./tasks/pope.ts";
import { scienceqa } from "./tasks/scienceqa.ts";
import { textvqa } from "./tasks/textvqa.ts";

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "replay-"))));
afterAll(() => rm(folder, { recursive: true }));

async function lines(name: string, ...values: unknown[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, values.map((value) => JSON.stringify(value)).join("\n"));
  return path;
}

const popeQuestions = () =>
  lines(
    "pope.jsonl",
    ...["yes", "no", "yes"].map((label, i) => ({ question_id: i, image: `${i}.jpg`, text: "Is there?", label })),
  );

it("reads its own files without their questions", async () => {
  const question = (id: string, more: Partial<Question>): Question => ({
    id,
    images: ["a.jpg", "b/c.jpg"],
    turn: userTurn("Which?", 2),
    label: "B",
    where: "",
    ...more,
  });
  const answered: Answered[] = [
    { question: question("1", { options: ["x", "y"], group: "1", kinds: ["k"] }), answer: "B" },
    { question: question("1/1", { options: ["y", "x"], group: "1", kinds: ["k", "l"], label: "A" }), answer: "y" },
  ];
  const path = join(folder, "own.jsonl");
  await writeAnswers(path, mmbench, answered);
  const replayed = await replayAnswers(mmbench, path);
  expect(replayed.unanswered).toBe(0);
  expect(resultOf(mmbench, replayed.answered)).toEqual(resultOf(mmbench, answered));
  // one that people answered
  const soft: Answered = { question: question("2", { labels: ["a", "a", "b"] }), answer: "a" };
  await writeAnswers(path, textvqa, [soft]);
  expect(scoreOf(textvqa, (await replayAnswers(textvqa, path)).answered)).toEqual(scoreOf(textvqa, [soft]));
});

it("reads LLaVA's layout, whatever the order, and counts what is missing as wrong", async () => {
  const llava = (question_id: number, text: string) => ({
    question_id,
    prompt: "Is there?",
    text,
    answer_id: "x",
    metadata: {},
  });
  const answers = await lines("llava.jsonl", llava(1, "No"), llava(0, "Yes"));
  const { answered, unanswered } = await replayAnswers(pope, answers, await popeQuestions());
  expect(unanswered).toBe(1);
  expect(answered.map(({ answer }) => answer)).toEqual(["Yes", "No", ""]);
  const others = await lines("gqa.json", [{ questionId: "0", prediction: "yes" }]);
  expect((await replayAnswers(pope, others, await popeQuestions())).unanswered).toBe(2);
});

it("reads ScienceQA's results", async () => {
  const problem = { question: "?", choices: ["x", "y"], answer: 1, grade: "grade2", subject: "language science" };
  const problems = await lines("problems.json", { "4": problem, "11": problem });
  const results = await lines("test_sqa.json", {
    acc: 50,
    correct: 1,
    count: 2,
    outputs: { "4": "B", "11": "The answer is A." },
  });
  const { answered } = await replayAnswers(scienceqa, results, problems);
  expect(scoreOf(scienceqa, answered)).toMatchObject({ n: 2, accuracy: 1 / 2 });
});

it("meets TextVQA's answers by picture and question, as their ids are pictures", async () => {
  const entry = (question_id: number, question: string, word: string) => ({
    question_id,
    image_id: "p",
    question,
    answers: Array<string>(10).fill(word),
  });
  const questions = await lines("text.json", { data: [entry(1, "Left?", "stop"), entry(2, "Right?", "go")] });
  const suffix = "Answer the question using a single word or phrase.";
  const answers = await lines(
    "text-answers.jsonl",
    { question_id: "p", prompt: `Right?\n${suffix}`, text: "go" },
    { question_id: "p", prompt: `Left?\nReference OCR token: A\n${suffix}`, text: "Stop" },
  );
  const { answered } = await replayAnswers(textvqa, answers, questions);
  expect(scoreOf(textvqa, answered)).toMatchObject({ n: 2, accuracy: 1 });
});

it.each([
  ["ANSWERS_UNKNOWN", [{ question_id: 7, text: "Yes" }], true],
  [
    "ANSWERS_UNKNOWN",
    [
      { question_id: 0, text: "Yes" },
      { question_id: 0, text: "No" },
    ],
    true,
  ],
  ["ANSWERS_QUESTIONS", [{ question_id: 0, text: "Yes" }], false],
  ["ANSWER_SHAPE", [{ question_id: 0 }], true],
  ["ANSWER_SHAPE", ["Yes"], true],
  ["ANSWER_SHAPE", [{ outputs: { "1": 5 } }], true],
  ["ANSWERS_EMPTY", [], true],
  ["PICTURE_PATH", [{ question_id: "0", answer: "", image: "../x", question: "", label: "" }], false],
] as const)("refuses with %s: %j", async (code, values, withQuestions) => {
  const path = await lines("bad.jsonl", ...values);
  const questions = withQuestions ? await popeQuestions() : undefined;
  await expect(replayAnswers(pope, path, questions)).rejects.toMatchObject({ code });
});
