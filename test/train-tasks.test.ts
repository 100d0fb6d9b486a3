// Every task that needs no judge scores a model while it trains, and says what llava eval says of the weights it leaves.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openQuestions } from "../src/cli/train-questions.ts";
import { judgedTasks, type TaskName, taskNames } from "../src/data/task-names.ts";
import { tasks } from "../src/evaluate/registry.ts";
import { runTask } from "../src/evaluate/run.ts";
import type { Task } from "../src/evaluate/task.ts";
import { openAssistant } from "../src/generate/node.ts";
import type { Engine } from "../src/runtime/engine.ts";
import { createDirectEngine } from "../src/runtime/node.ts";
import { readCheckedMetrics } from "../src/train/report/read-metrics.ts";
import { parseRecipe } from "../src/train/recipe-read.ts";
import { train } from "../src/train/run.ts";
import { writeTinyProject } from "./tiny-bases.ts";

let folder: string;
let engine: Engine;
let picture: Buffer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-tasks-"));
  engine = await createDirectEngine({ threads: 1 });
  picture = await sharp({ create: { width: 20, height: 24, channels: 3, background: "teal" } })
    .jpeg()
    .toBuffer();
  const named = ["a.jpg", "COCO_val2014_000000000042.jpg", "4/image.png", "SEED-Bench-image/x.jpg"];
  for (const name of named) {
    const path = join(folder, "asked", name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, picture);
  }
});
afterAll(async () => {
  await engine.close();
  await rm(folder, { recursive: true, force: true });
});

const lines = (...rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
const people = (answer: string): string[] => Array.from({ length: 10 }, () => answer);
const choices = { question: "Q?", choice_a: "one", choice_b: "two", choice_c: "three", choice_d: "four", answer: "A" };
const seed = {
  questions: [{ ...choices, question_id: "1", data_id: "x.jpg", data_type: "image", question_type_id: 1 }],
  question_type: { Scene: 1 },
};
const problem = { choices: ["x", "y"], answer: 1, hint: "", grade: "grade6", subject: "natural science" };
const yesNo = { question_id: 1, image: "a.jpg", text: "Is it red?", label: "no" };
const openEnded = { data_subtype: "val2014", questions: [{ image_id: 42, question: "Is it?", question_id: 420 }] };
const annotated = { question_id: 420, answer_type: "yes/no", answers: people("yes").map((answer) => ({ answer })) };
const table = (): string =>
  `index\tquestion\tA\tB\tanswer\tcategory\timage\n7\tWho?\tann\tbob\tB\tx\t${picture.toString("base64")}\n`;

/** A small question file of each layout. */
const layouts: Readonly<Record<Exclude<TaskName, "llavabench">, [name: string, content: () => string]>> = {
  pope: ["pope.jsonl", () => lines(yesNo)],
  vqa: [
    "vqa.json",
    () =>
      JSON.stringify([
        {
          id: "1",
          image: "a.jpg",
          conversations: [
            { from: "human", value: "<image>\nWhat colour?" },
            { from: "gpt", value: "teal" },
          ],
        },
      ]),
  ],
  vqav2: ["v2_OpenEnded_mscoco_val2014_questions.json", () => JSON.stringify(openEnded)],
  okvqa: ["v2_OpenEnded_mscoco_val2014_questions.json", () => JSON.stringify(openEnded)],
  textvqa: [
    "textvqa.json",
    () => JSON.stringify({ data: [{ question_id: 1, image_id: "a", question: "What?", answers: people("stop") }] }),
  ],
  gqa: [
    "gqa.json",
    () => JSON.stringify({ g: { question: "What?", answer: "cat", imageId: "a", types: { structural: "query" } } }),
  ],
  // with a picture and without one
  scienceqa: [
    "problems.json",
    () =>
      JSON.stringify({
        "4": { ...problem, question: "Which?", image: "image.png" },
        "5": { ...problem, question: "Why?", image: null },
      }),
  ],
  mme: [
    "mme.jsonl",
    () => lines({ ...yesNo, category: "color" }, { ...yesNo, text: "Is it teal?", label: "yes", category: "color" }),
  ],
  mmbench: ["mmbench.tsv", table],
  seedbench: ["seed.json", () => JSON.stringify(seed)],
  "seedbench-ranked": ["seed.json", () => JSON.stringify(seed)],
  mmstar: ["mmstar.tsv", table],
  captions: [
    "captions.json",
    () =>
      JSON.stringify({
        images: [{ id: 1, file_name: "a.jpg" }],
        annotations: [{ image_id: 1, caption: "A teal wall." }],
      }),
  ],
};

it.each(Object.entries(layouts))("%s", async (name, [file, content]) => {
  const here = join(folder, name);
  await mkdir(here);
  const [path, images] = [join(here, file), join(folder, "asked")];
  await writeFile(path, content());
  await writeFile(join(here, "v2_mscoco_val2014_annotations.json"), JSON.stringify({ annotations: [annotated] }));
  const questions = `{ path: ${path}, images: ${images}, task: ${name} }`;
  const recipe = parseRecipe(await writeTinyProject(folder, `run-${name}`), "r.yaml", [
    "stages.align.epochs=0.3",
    "stages.instruct.epochs=0.5",
    `stages.instruct.evaluate={ every: 0, questions: ${questions} }`,
  ]);
  await train(recipe, { engine, openQuestions });
  const { evaluations } = await readCheckedMetrics(join(recipe.output, "metrics.jsonl"));
  expect(evaluations).toHaveLength(1);
  const { task: told, figure, accuracy, ...figures } = evaluations[0]!.score!;
  expect([told, figure]).toEqual([name, name === "captions" ? "rouge_l" : undefined]);
  expect(accuracy).toBeGreaterThanOrEqual(0);
  expect(accuracy).toBeLessThanOrEqual(1);

  const task: Task = tasks[name as TaskName];
  const assistant = await openAssistant(join(recipe.output, "model"), { engine });
  const { score } = await runTask({ task, questionsPath: path, imagesDir: images, assistant });
  await assistant.release();
  expect(figure === undefined ? { accuracy, ...figures } : figures).toEqual(score);
  if (figure !== undefined) expect(accuracy).toBe(figures[figure]);
});

it("has a share to go by for every task, and no task that needs a judge", async () => {
  expect([...Object.keys(layouts), ...judgedTasks].sort()).toEqual([...taskNames].sort());
  for (const name of taskNames) {
    const task: Task = tasks[name];
    expect(task.judged === true, name).toBe(judgedTasks.includes(name));
    if (task.judged) continue;
    const { compared = "accuracy" } = task;
    expect(Object.keys(task.figures({})), name).toContain(compared);
    expect(task.points ?? []).not.toContain(compared);
  }
});

it("refuses a task whose answers a judge scores, and one that nobody knows", async () => {
  const text = await writeTinyProject(folder, "refused");
  const read = (task: string): unknown =>
    parseRecipe(text, "r.yaml", [`stages.instruct.evaluate={ questions: { path: q.jsonl, task: ${task} } }`]);
  expect(() => read("llavabench")).toThrow(/a task that needs no judge, got llavabench .*llava eval judge/);
  expect(() => read("textvqaa")).toThrow(/did you mean "textvqa"/);
});
