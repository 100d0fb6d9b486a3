// Scores on their way from what `llava eval` left to the card of a run's model.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { tinyConfig } from "../../test/tiny-model.ts";
import { modelCard } from "../models/card.ts";
import { rewriteScores } from "./card.ts";
import { readScores } from "./report/scores.ts";

let run: string;
beforeEach(async () => {
  run = await mkdtemp(join(tmpdir(), "card-"));
  await mkdir(join(run, "model"));
  await mkdir(join(run, "scores", "vqa"), { recursive: true });
});
afterEach(() => rm(run, { recursive: true }));

const write = (name: string, content: object): Promise<void> => writeFile(join(run, name), JSON.stringify(content));
const side = (accuracy: number, ...ends: number[]) => ({ task: "t", n: 500, accuracy, intervals: { accuracy: ends } });

it("reads files, both sides in one, and folders of llava eval --out", async () => {
  await write("scores/a.json", side(0.818, 0.781, 0.852));
  await write("scores/a-blind.json", { n: 500, accuracy: 0.699 });
  await write("scores/both.json", { ...side(0.6, 0.5, 0.7), blind: side(0.4, 0.3, 0.5), seeing: { difference: {} } });
  await write("scores/vqa/score.json", side(0.3, 0.2, 0.4));
  await write("scores/vqa/score-blind.json", side(0.1, 0, 0.2));
  expect(await readScores(run)).toEqual([
    { task: "a", n: 500, sighted: 0.818, blind: 0.699, intervals: { sighted: [0.781, 0.852] } },
    { task: "both", n: 500, sighted: 0.6, blind: 0.4, intervals: { sighted: [0.5, 0.7], blind: [0.3, 0.5] } },
    { task: "vqa", n: 500, sighted: 0.3, blind: 0.1, intervals: { sighted: [0.2, 0.4], blind: [0, 0.2] } },
  ]);
  await writeFile(join(run, "model", "README.md"), modelCard({ name: "mine", config: tinyConfig() }));
  expect(await rewriteScores(run)).toBe(true);
  const card = await readFile(join(run, "model", "README.md"), "utf8");
  expect(card).toContain("- a: 81.8 % (78.1 to 85.2), blind 69.9 %; 500 questions, intervals of 95 %");
  expect(card).toContain("- vqa: 30.0 % (20.0 to 40.0), blind 10.0 % (0.0 to 20.0); 500 questions, intervals of 95 %");
});

it("leaves alone cards that are not ours, and those that have nothing new", async () => {
  expect(await rewriteScores(run)).toBe(false);
  await writeFile(join(run, "model", "README.md"), "# Mine\n");
  await write("scores/a.json", { n: 1, accuracy: 1 });
  expect(await rewriteScores(run)).toBe(false);
  expect(await readFile(join(run, "model", "README.md"), "utf8")).toBe("# Mine\n");
});
