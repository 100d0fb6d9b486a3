// Running a task: every question asked once and in its place, blind pictures differ, bad files stop it before it starts.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Assistant, userTurn } from "../generate/assistant.ts";
import type { Views } from "../generate/pictures.ts";
import type { GenerationRequest } from "../generate/generation.ts";
import { encodePng } from "../image/node.ts";
import { parsePreprocessor } from "../image/preprocessor.ts";
import { parseLanguageConfig } from "../models/config.ts";
import { templateNamed } from "../text/templates.ts";
import { tinyTokenizer } from "../text/tokenizers.fixture.ts";
import { writeAnswers } from "./answers.ts";
import { recordOf } from "./record.ts";
import { blinded } from "./blind.ts";
import { openTask, runTask } from "./run.ts";
import { answersPath, askInto } from "./run-folder.ts";
import { pope } from "./tasks/pope.ts";
import { meanGrade, type Question, type Task } from "./task.ts";

const tokenizer = tinyTokenizer("bytes");
const colours = ["red", "green", "blue", "grey"] as const;
let folder: string;
let questionsPath: string;
/** what the fake tower sees in a picture, by its key */
const seen = new Map<string, string>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "evaluate-"));
  await mkdir(join(folder, "photos"));
  for (const [i, colour] of colours.entries()) {
    const data = new Uint8Array(12).map((_, at) => (at % 3 === i ? 255 : 60 * i));
    await writeFile(join(folder, "photos", `${colour}.png`), await encodePng({ width: 2, height: 2, data }));
  }
  questionsPath = join(folder, "questions.jsonl");
  const lines = Array.from({ length: 40 }, (_, i) => {
    const asked = colours[(i * 7) % 4]!;
    const image = `${colours[i % 4]!}.png`;
    return JSON.stringify({
      question_id: i,
      image,
      text: `Is it ${asked}?`,
      label: image === `${asked}.png` ? "yes" : "no",
    });
  });
  await writeFile(questionsPath, lines.join("\n"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Answers from what it is shown, each after a different time. */
function observer(): { assistant: Assistant; most: () => number; asked: string[] } {
  const asked: string[] = [];
  let [under, most] = [0, 0];
  const generate = async ({ prompt, onToken, signal }: GenerationRequest) => {
    const text = tokenizer.decode(prompt.ids as Int32Array);
    const colour = /Is it (\w+)\?/.exec(text)![1]!;
    asked.push(colour);
    most = Math.max(most, ++under);
    await new Promise((resolve) => setTimeout(resolve, (asked.length * 13) % 7));
    under--;
    const ids = tokenizer.encode(seen.get(prompt.pictures![0]!.picture.key) === colour ? "Yes. Sure." : "No.");
    const used = ids.slice(0, ids.findIndex((id) => onToken?.(id) === true) + 1);
    const finishReason = signal?.aborted ? ("interrupted" as const) : ("stop" as const);
    return { ids: used, finishReason, promptTokens: prompt.ids.length, cachedTokens: 0 };
  };
  const reader = {
    tokens: 1,
    read: async (key: string, views: () => Views | Promise<Views>) => {
      const plane = (await views())[0]!;
      const area = plane.length / 3;
      const bright = [0, 1, 2].findIndex((c) => plane[c * area]! > 0.9);
      seen.set(key, colours[bright] ?? "grey");
      return { key, rows: new Float32Array(1) };
    },
    release: async () => {},
  };
  const preprocessor = parsePreprocessor({ image_processor_type: "ViTImageProcessor", size: 2 }, "test");
  const shape = { hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1, vocab_size: 300 };
  const config = parseLanguageConfig({ model_type: "llama", ...shape }, "test");
  const assistant: Assistant = {
    generator: { config, generate, reset() {}, release: async () => {} },
    tokenizer,
    template: templateNamed("chatml"),
    endIds: [],
    where: "observer",
    sight: { reader, preprocessor, imageTokenId: tokenizer.controlId("<image>")! },
    release: async () => {},
  };
  return { assistant, most: () => most, asked };
}

const options = () => ({ task: pope, questionsPath, imagesDir: join(folder, "photos") });

describe("a run", () => {
  it("asks everything once, many at a time, and keeps answers in the file's order", async () => {
    const { assistant, most, asked } = observer();
    const progress: number[] = [];
    const { score, answered } = await runTask({
      ...options(),
      assistant,
      onProgress: ({ done }) => progress.push(done),
    });
    expect(score).toMatchObject({ n: 40, accuracy: 1, precision: 1, recall: 1, f1: 1 });
    expect(answered.map(({ question }) => question.id)).toEqual(Array.from({ length: 40 }, (_, i) => String(i)));
    expect(asked).toHaveLength(40);
    expect(most()).toBeGreaterThan(8);
    expect(progress).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
  });

  it("sees worse when blind, in the same way for the same seed", async () => {
    const run = async (seed: number) => runTask({ ...options(), assistant: observer().assistant, blind: true, seed });
    const [first, again] = [await run(1), await run(1)];
    expect(first.score.accuracy).toBeLessThan(0.8);
    expect(again).toEqual(first);
  });

  it("asks the first few only", async () => {
    const { assistant, asked } = observer();
    const { score } = await runTask({ ...options(), assistant, limit: 5 });
    expect([score.n, asked.length]).toEqual([5, 5]);
  });

  it("ends when it is told to", async () => {
    const control = new AbortController();
    const { assistant, asked } = observer();
    const onProgress = (): void => control.abort();
    const run = runTask({ ...options(), assistant, signal: control.signal, onProgress });
    await expect(run).rejects.toMatchObject({ name: "AbortError" });
    expect(asked.length).toBeLessThan(40);
  });

  it("asks nothing when a picture is missing or broken", async () => {
    const path = join(folder, "bad.jsonl");
    const line = (image: string) => JSON.stringify({ question_id: 1, image, text: "Is it red?", label: "no" });
    await writeFile(path, [line("red.png"), line("none.png")].join("\n"));
    const { assistant, asked } = observer();
    const run = (questionsPath: string) => runTask({ ...options(), questionsPath, assistant });
    await expect(run(path)).rejects.toMatchObject({
      code: "PICTURE_MISSING",
      message: expect.stringContaining("bad.jsonl:2"),
    });
    await writeFile(path, "");
    await expect(run(path)).rejects.toMatchObject({ code: "QUESTIONS_EMPTY" });
    expect(asked).toEqual([]);
  });

  it("goes on where it was cut off, and leaves the file of a run that was not", async () => {
    const opened = await openTask(options());
    const into = async (name: string, until = Infinity, seed = 0): Promise<[string, number]> => {
      const { assistant, asked } = observer();
      const { questions } = opened;
      const made = {
        task: pope,
        assistant,
        modelHash: "x",
        questionsPath: [questionsPath],
        questions,
        blind: false,
        seed,
      };
      const out = join(folder, name);
      await mkdir(out, { recursive: true });
      const control = new AbortController();
      const onProgress = ({ done }: { done: number }): void => void (done >= until && control.abort());
      const asking = askInto(out, pope, opened, recordOf(made), { assistant, onProgress, signal: control.signal });
      await (until < Infinity ? expect(asking).rejects.toMatchObject({ name: "AbortError" }) : asking);
      return [await readFile(answersPath(out, false), "utf8"), asked.length];
    };
    const [whole] = await into("whole");
    const [part, before] = await into("cut", 8);
    // a kill may cut off the last line
    await writeFile(answersPath(join(folder, "cut"), false), part.slice(0, -9));
    const [after, again] = await into("cut");
    expect(after).toBe(whole);
    expect(part.split("\n").length).toBeGreaterThan(8);
    expect(again).toBeLessThan(40);
    expect(before + again).toBeGreaterThanOrEqual(40);
    expect(await into("cut")).toEqual([whole, 0]);
    await expect(into("cut", Infinity, 1)).rejects.toMatchObject({ code: "EVAL_OTHER_RUN" });
  });

  it("leaves a line for every answer", async () => {
    const { answered } = await runTask({ ...options(), assistant: observer().assistant, limit: 3 });
    const path = join(folder, "answers.jsonl");
    await writeAnswers(path, pope, answered);
    const [first] = (await readFile(path, "utf8")).split("\n");
    expect(JSON.parse(first!)).toEqual({
      question_id: "0",
      image: "red.png",
      question: "Is it red?",
      answer: "Yes",
      label: "yes",
      correct: true,
    });
  });
});

it("shows each question another picture than its own, the same for all that share one", () => {
  const images = fc.array(fc.constantFrom(..."abcdefgh"), { minLength: 2, maxLength: 30 });
  fc.assert(
    fc.property(images, fc.nat(), (names, seed) => {
      fc.pre(new Set(names).size > 1);
      const question = (image: string): Question => ({
        id: "",
        images: [image],
        turn: { role: "user", content: [] },
        label: "",
        where: "",
      });
      const other = blinded(names.map(question), seed).map(({ images: [image] }) => image!);
      const pairs = new Map(names.map((name, i) => [name, other[i]!]));
      names.forEach((name, i) =>
        expect([other[i] === name, pairs.get(name) === other[i], names.includes(other[i]!)]).toEqual([
          false,
          true,
          true,
        ]),
      );
      // no picture is shown more often than its questions were moved: pictures change places
      expect(new Set(pairs.values()).size).toBe(pairs.size);
    }),
  );
  const alone: Question = { id: "", images: ["a"], turn: { role: "user", content: [] }, label: "", where: "" };
  expect(() => blinded([alone, alone], 0)).toThrow(/two pictures/);
});

it("a ranked task is answered by the likeliest option's letter, every option weighed by the mean of its tokens", async () => {
  const { assistant } = observer();
  const [x] = tokenizer.encode("x");
  const weighing: Assistant = {
    ...assistant,
    generator: {
      ...assistant.generator,
      // "x" is likelier than everything else, wherever it stands
      generate: async ({ prompt, maxNewTokens, sample }) => {
        const logits = new Float32Array(tokenizer.vocabSize).fill(-1);
        logits[x!] = 3;
        const ids = Array.from({ length: maxNewTokens }, () => sample(logits));
        return { ids, finishReason: "length", promptTokens: prompt.ids.length, cachedTokens: 0 };
      },
    },
  };
  const options = [
    ["ab", "x", "xxxx"],
    ["x", "b", "a"],
  ];
  const task: Task<"accuracy"> = {
    name: "ranked",
    files: "",
    ranked: true,
    maxNewTokens: 0,
    questions: async function* () {
      for (const [i, each] of options.entries()) {
        const question = { id: String(i), images: ["red.png"], turn: userTurn("Q?", 1), label: i === 0 ? "C" : "B" };
        yield { ...question, options: each, where: "" };
      }
    },
    ...meanGrade(({ question, answer }) => (answer === question.label ? 1 : 0)),
  };
  const { answered, score } = await runTask({
    ...{ questionsPath, imagesDir: join(folder, "photos") },
    task,
    assistant: weighing,
  });
  expect(answered.map(({ answer }) => answer)).toEqual(["C", "A"]);
  expect(score).toMatchObject({ n: 2, accuracy: 0.5 });
});
