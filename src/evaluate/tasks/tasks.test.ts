// Every other task on a question file of its own layout: what is asked, and figures that were worked out by hand.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { textOf } from "../../text/templates.ts";
import { readQuestions } from "../questions.ts";
import { scoreOf } from "../score.ts";
import type { Question, Score, Task } from "../task.ts";
import { gqa } from "./gqa.ts";
import { llavabench } from "./llavabench.ts";
import { mmbench } from "./mmbench.ts";
import { mme, readMme } from "./mme.ts";
import { isMmstarRight, mmstar } from "./mmstar.ts";
import { pope } from "./pope.ts";
import { readScienceAnswer, scienceqa } from "./scienceqa.ts";
import { seedbench, seedbenchRanked } from "./seedbench.ts";
import { textvqa } from "./textvqa.ts";
import { okvqa, vqav2 } from "./vqav2.ts";

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "tasks-"))));
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, content: unknown): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

const asked = ({ turn }: Question): string => textOf(turn.content).trim();

function score(task: Task, questions: readonly Question[], answers: readonly string[]): Score {
  expect(questions).toHaveLength(answers.length);
  return scoreOf(
    task,
    questions.map((question, i) => ({ question, answer: answers[i]! })),
  );
}

describe("ScienceQA", () => {
  it.each([
    ["B", "B"],
    ["B. the cat", "B"],
    ["The answer is C.", "C"],
    ["Lecture. Solution. The answer is A. BECAUSE", "A"],
    // LLaVA's pattern ends on any character, so it needs one
    ["The answer is C", undefined],
    ["The answer is A. The answer is B.", undefined],
    ["The answer is G.", "G"],
    ["b", undefined],
    ["F", undefined],
    ["B.", undefined],
    ["", undefined],
  ])("reads %j as %s", (answer, letter) => expect(readScienceAnswer(answer)).toBe(letter));

  it("asks in the form CQM-A, and fills the paper's table", async () => {
    const problem = { choices: ["x", "y"], answer: 1, split: "test" };
    const path = await file("problems.json", {
      "4": {
        ...problem,
        question: "Which?",
        hint: "A text.",
        image: "image.png",
        grade: "grade6",
        subject: "natural science",
      },
      "5": { ...problem, question: "Why?", hint: "", image: null, grade: "grade7", subject: "social science" },
      "6": {
        ...problem,
        question: "Train?",
        hint: "",
        image: null,
        grade: "grade1",
        subject: "social science",
        split: "train",
      },
    });
    const questions = await readQuestions(scienceqa, path);
    expect(questions.map(({ id, images }) => [id, images])).toEqual([
      ["4", ["4/image.png"]],
      ["5", []],
    ]);
    expect(asked(questions[0]!)).toBe(
      "Context: A text.\nQuestion: Which?\nOptions: (A) x (B) y\nAnswer with the option's letter from the given choices directly.",
    );
    expect(asked(questions[1]!)).toMatch(/^Context: N\/A\n/);
    const { kinds, ...whole } = score(scienceqa, questions, ["B", "The answer is A."]);
    expect(whole).toEqual({ n: 2, accuracy: 0.5 });
    const one = { n: 1, accuracy: 1 };
    const none = { n: 1, accuracy: 0 };
    expect(kinds).toEqual({ "G1-6": one, "G7-12": none, IMG: one, NAT: one, NO: none, SOC: none, TXT: one });
  });
});

it("TextVQA: leaves one person out, and knows LLaVA's answers by picture and question", async () => {
  const answers = ["stop", "stop", "stop", "stop", "go", "go", "3", "4", "5", "6"];
  const entry = { question_id: 34602, image_id: "0054c91397f2fe05", question: "What does it say?", answers };
  const [question] = await readQuestions(textvqa, await file("text.json", { dataset_type: "val", data: [entry] }));
  expect(question).toMatchObject({ id: "34602", images: ["0054c91397f2fe05.jpg"] });
  expect(asked(question!)).toBe("What does it say?\nAnswer the question using a single word or phrase.");
  const grade = (answer: string): number => textvqa.grade({ question: question!, answer });
  // four say so: three others for those who do, four for the rest; two: (2 · 1/3 + 8 · 2/3) / 10
  expect(grade("STOP?")).toBe(1);
  expect(grade("go")).toBeCloseTo(0.6, 12);
  // one: 9 of 10 have one other who says so: 0.3
  expect(grade("three")).toBeCloseTo(0.3, 12);
  expect(grade("stop sign")).toBe(0);
  for (const prompt of [
    "What does it say?\nAnswer the question using a single word or phrase.",
    "What does it say?\nReference OCR token: STOP, GO\nAnswer the question using a single word or phrase.",
    "Reference OCR token: STOP\nWhat does it say?\nAnswer the question using a single word or phrase.",
    "OCR tokens: STOP. Question: What does it say? Short answer:",
  ])
    expect(textvqa.foreignId!({ question_id: "0054c91397f2fe05", prompt })).toBe(question!.foreignId);
});

it("VQAv2 and OK-VQA: official files beside each other, answer types apart", async () => {
  const answers = (list: readonly string[]) => list.map((answer, i) => ({ answer, answer_id: i + 1 }));
  const questions = [
    { image_id: 42, question: "How many?", question_id: 420 },
    { image_id: 42, question: "Is it?", question_id: 421 },
  ];
  const annotations = [
    { question_id: 421, answer_type: "yes/no", answers: answers(Array<string>(10).fill("yes")) },
    { question_id: 420, answer_type: "number", answers: answers(["2", "2", "3", "3", "3", "3", "3", "3", "3", "3"]) },
  ];
  await file("v2_mscoco_val2014_annotations.json", { annotations });
  const path = await file("v2_OpenEnded_mscoco_val2014_questions.json", { data_subtype: "val2014", questions });
  const read = await readQuestions(vqav2, path);
  expect(read[0]).toMatchObject({ id: "420", images: ["COCO_val2014_000000000042.jpg"], kinds: ["number"] });
  const kinds = { number: { n: 1, accuracy: expect.closeTo(0.6, 12) as number }, "yes/no": { n: 1, accuracy: 1 } };
  expect(score(vqav2, read, ["two", "Yes"])).toEqual({ n: 2, accuracy: expect.closeTo(0.8, 12), kinds });
  expect(okvqa.grade({ question: read[1]!, answer: "the yes" })).toBe(1);
});

it("GQA: no points at the end, no capitals, and nothing else", async () => {
  const entry = (answer: string, structural: string) => ({
    question: "?",
    answer,
    imageId: "n1",
    types: { structural },
  });
  const path = await file("gqa.json", {
    a: entry("yes", "verify"),
    b: entry("left", "query"),
    c: entry("red", "query"),
  });
  const questions = await readQuestions(gqa, path);
  expect(questions[0]).toMatchObject({ id: "a", images: ["n1.jpg"], kinds: ["binary"] });
  expect(score(gqa, questions, ["Yes..", "the left", "Red"])).toEqual({
    n: 3,
    accuracy: 2 / 3,
    kinds: { binary: { n: 1, accuracy: 1 }, open: { n: 2, accuracy: 1 / 2 } },
  });
});

describe("MME", () => {
  it.each([
    ["Yes.", "yes"],
    ["No, it", "no"],
    ["  no", "no"],
    ["Not", "no"],
    ["I know", "other"],
    ["1 no", "no"],
    ["", "other"],
  ])("reads %j as %s", (answer, said) => expect(readMme(answer)).toBe(said));

  it("adds accuracy and both-right accuracy of each subtask", async () => {
    const rows = (names: string[]) =>
      names.flatMap((n) => [`${n}.jpg\tIs it? Please answer yes or no.\tYes`, `${n}.jpg\tOr?\tNo`]);
    const count = await file("count.txt", rows(["1", "2"]).join("\n"));
    const code = await file("code_reasoning.txt", `${rows(["1"]).join("\r\n")}\n`);
    const questions = await readQuestions(mme, [count, code]);
    expect(questions.map(({ id }) => id).slice(0, 3)).toEqual(["count/1.jpg", "count/1.jpg#2", "count/2.jpg"]);
    expect(asked(questions[0]!)).toBe("Is it?\nAnswer the question using a single word or phrase.");
    // count: 3 of 4, one picture of two: 75 + 50; code: both: 200
    const { kinds, ...whole } = score(mme, questions, ["yes", "no", "yes", "maybe", "Yes", "No"]);
    expect(whole).toEqual({ n: 6, accuracy: 5 / 6, accuracy_plus: 2 / 3, score: 325 });
    expect(kinds!["perception"]).toEqual({ n: 4, accuracy: 3 / 4, accuracy_plus: 1 / 2, score: 125 });
    expect(kinds!["cognition"]).toMatchObject({ score: 200 });
  });
});

describe("MMBench", () => {
  const head = "index\tquestion\thint\tA\tB\tC\tD\tanswer\tcategory\timage\n";
  it("asks in every order, and counts what is right in all", async () => {
    const rows = "7\tWho?\tnan\tann\tbob\tcy\t\tB\tpeople\tZm9v\n8\tWhat?\tLook.\tone\ttwo\t\t\tA\tthings\tZm9v\n";
    const questions = await readQuestions(mmbench, await file("bench.tsv", head + rows));
    expect(questions.map(({ id, label }) => [id, label])).toEqual([
      ["7", "B"],
      ["7/1", "A"],
      ["7/2", "C"],
      ["8", "A"],
      ["8/1", "B"],
    ]);
    expect(asked(questions[1]!)).toMatch(/^Who\?\nA\. bob\nB\. cy\nC\. ann\nAnswer with/);
    expect(asked(questions[3]!)).toMatch(/^Look\.\nWhat\?\nA\. one\n/);
    expect(questions[1]).toMatchObject({ images: ["7.jpg"], group: "7" });
    const { kinds, ...whole } = score(mmbench, questions, ["B", "A. bob", "C", "(A) one", "A"]);
    expect(whole).toEqual({ n: 5, accuracy: 1 / 2, first: 1 });
    expect(kinds!["things"]).toEqual({ n: 2, accuracy: 0, first: 1 });
  });

  it("takes the orders that a file holds", async () => {
    const rows = "7\tWho?\t\tann\tbob\t\t\tB\tpeople\tx\n1000007\tWho?\t\tbob\tann\t\t\tA\tpeople\tx\n";
    const questions = await readQuestions(mmbench, await file("orders.tsv", head + rows));
    expect(questions.map(({ id, group, label }) => [id, group, label])).toEqual([
      ["7", "7", "B"],
      ["1000007", "7", "A"],
    ]);
    expect(score(mmbench, questions, ["B", "bob"])).toMatchObject({ accuracy: 1 });
  });

  it.each(["7\tWho?\t\tann\tbob\t\t\tE\tx\ty", "7\tWho?\t\tann", "7\tW\t\t\t\t\t\tA\tx\ty"])(
    "refuses %j",
    async (row) => {
      const path = await file("bad.tsv", head + row);
      await expect(readQuestions(mmbench, path)).rejects.toMatchObject({ code: "QUESTION_SHAPE" });
    },
  );
});

it("SEED-Bench: exact letters, kinds by their names, frames for videos", async () => {
  const entry = { question: "Q?", choice_a: "a", choice_b: "b", choice_c: "c", choice_d: "d" };
  const questions = await readQuestions(
    seedbench,
    await file("seed.json", {
      questions: [
        { ...entry, question_id: "1", answer: "A", data_id: "x.jpg", data_type: "image", question_type_id: 1 },
        { ...entry, question_id: "2", answer: "D", data_id: "v.mp4", data_type: "video", question_type_id: 10 },
      ],
      question_type: { "Scene Understanding": 1, "Action Recognition": 10 },
    }),
  );
  expect(questions.map(({ images }) => images[0])).toEqual(["SEED-Bench-image/x.jpg", "SEED-Bench-video-image/2.png"]);
  expect(asked(questions[0]!)).toMatch(/^Q\?\nA\. a\nB\. b\nC\. c\nD\. d\nAnswer with/);
  const ranked = await readQuestions(seedbenchRanked, join(folder, "seed.json"));
  expect(ranked.map((question) => [asked(question), question.options, question.label])).toEqual([
    ["Q?", ["a", "b", "c", "d"], "A"],
    ["Q?", ["a", "b", "c", "d"], "D"],
  ]);
  const { kinds, ...whole } = score(seedbench, questions, ["A", "D."]);
  expect(whole).toEqual({ n: 2, accuracy: 1 / 2 });
  expect(Object.keys(kinds!)).toEqual(["Action Recognition", "Scene Understanding", "image", "video"]);
});

describe("MMStar", () => {
  it.each([
    ["B", true],
    ["b: the cat", true],
    ["(B) cat", true],
    ["Option B", true],
    ["The answer is\nB", true],
    // only the first letter counts
    ["Because", true],
    ["A", false],
    ["I say B", false],
    ["", false],
  ])("takes %j for B: %s", (answer, right) => expect(isMmstarRight(answer, "B")).toBe(right));

  it("reads its table", async () => {
    const path = await file(
      "star.tsv",
      "index\tquestion\timage\tanswer\tcategory\n0\tQ?\nOptions: A: x, B: y\tx\tB\tmath\n",
    );
    await expect(readQuestions(mmstar, path)).rejects.toMatchObject({ code: "QUESTION_SHAPE" });
    const quoted = 'index\tquestion\timage\tanswer\tcategory\n0\t"Q?\nOptions: A: x, B: y"\tx\tB\tmath\n';
    const [question] = await readQuestions(mmstar, await file("star2.tsv", quoted));
    expect(question).toMatchObject({ id: "0", images: ["0.jpg"], label: "B", kinds: ["math"] });
    expect(asked(question!)).toMatch(/^Q\?\nOptions: A: x, B: y\nAnswer with/);
  });
});

it("POPE's three lists make one test, with the mean of their F1", async () => {
  const line = (label: string) => JSON.stringify({ question_id: 1, image: "a.jpg", text: "Is there?", label });
  const paths = await Promise.all(
    ["random", "popular", "adversarial"].map((list) => file(`coco_pope_${list}.json`, `${line("yes")}\n${line("no")}`)),
  );
  const questions = await readQuestions(pope, paths);
  expect(questions.map(({ id }) => id)).toEqual(["1", "1#2", "1#3", "1#4", "1#5", "1#6"]);
  // F1: 1; 2/3 (both yes); 0 (both no)
  const { kinds, ...whole } = score(pope, questions, ["yes", "no", "yes", "yes", "no", "no"]);
  expect(whole).toMatchObject({ n: 6, accuracy: 4 / 6, yes_ratio: 3 / 6 });
  expect((whole as unknown as { mean_f1: number }).mean_f1).toBeCloseTo((1 + 2 / 3 + 0) / 3, 12);
  expect(kinds!["popular"]).toEqual({ n: 2, accuracy: 1 / 2, precision: 1 / 2, recall: 1, f1: 2 / 3, yes_ratio: 1 });
});

it("LLaVA-Bench: asked as it is, scored by nobody here", async () => {
  const line = { question_id: 0, image: "001.jpg", text: "What is this?", category: "conv" };
  const questions = await readQuestions(llavabench, await file("bench.jsonl", line));
  expect(asked(questions[0]!)).toBe("What is this?");
  expect(score(llavabench, questions, ["A dog."])).toEqual({ n: 1 });
});

it.each([
  [scienceqa, { "1": { question: "?", choices: ["x"] } }],
  [textvqa, { data: [{ question_id: 1, image_id: "../x", question: "?", answers: Array(10).fill("a") }] }],
  [gqa, { a: { question: "?" } }],
  [seedbench, { questions: [{}] }],
  [llavabench, { question_id: 1 }],
] as readonly [Task, unknown][])("$name refuses what is not its own", async (task, content) => {
  const path = await file(`bad-${task.name}.json`, content);
  const read = readQuestions(task, path);
  await expect(read).rejects.toMatchObject({ code: expect.stringMatching(/^(QUESTION_SHAPE|PICTURE_PATH)$/) });
  await expect(read).rejects.toThrow(`bad-${task.name}.json:1`);
});
