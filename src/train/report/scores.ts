// Scores of a run's model: what `llava eval --json` said, kept as files in the run's folder.
import { mkdir, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { readJsonFile, writeFileAtomic } from "../../formats/node.ts";
import { isRecord } from "../../data/untrusted.ts";
import { InputError } from "../../errors.ts";
import type { Score } from "./data.ts";

/** `scores/NAME.json` and `scores/NAME-blind.json` below a run's folder. */
const folderName = "scores";
const blindEnd = /-blind$/;

/** Scores by name, sighted beside blind. Throws `REPORT_SCORE` for a file that holds no score. */
export async function readScores(run: string): Promise<Score[]> {
  const folder = join(run, folderName);
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".json")).toSorted();
  const scores = new Map<string, Score>();
  for (const name of names) {
    const stem = basename(name, ".json");
    const task = stem.replace(blindEnd, "");
    const { n, accuracy } = await readScore(join(folder, name));
    const side = blindEnd.test(stem) ? { blind: accuracy } : { sighted: accuracy };
    scores.set(task, { ...scores.get(task), ...side, task, n });
  }
  return [...scores.values()];
}

/** Keeps a score's figures where `readScores` finds them. */
export async function writeScores(
  run: string,
  name: string,
  { sighted, blind }: Readonly<Record<"sighted" | "blind", object>>,
): Promise<void> {
  const folder = join(run, folderName);
  await mkdir(folder, { recursive: true });
  await writeFileAtomic(join(folder, `${name}.json`), `${JSON.stringify(sighted)}\n`);
  await writeFileAtomic(join(folder, `${name}-blind.json`), `${JSON.stringify(blind)}\n`);
}

async function readScore(path: string): Promise<{ n: number; accuracy: number }> {
  const content = await readJsonFile(path);
  if (isRecord(content)) {
    const { n, accuracy } = content;
    if (typeof n === "number" && typeof accuracy === "number") return { n, accuracy };
  }
  throw new InputError("REPORT_SCORE", {
    expected: "what `llava eval --json` prints, with `n` and `accuracy`",
    got: "something else",
    where: path,
  });
}
