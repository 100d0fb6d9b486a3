// Scores of a run's model: what `llava eval --json` said, kept as files in the run's folder.
import { mkdir, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { readJsonFile, writeFileAtomic } from "../../formats/node.ts";
import { isRecord } from "../../data/untrusted.ts";
import { InputError } from "../../errors.ts";
import type { Score } from "./data.ts";

/**
 * `scores/NAME.json` and `scores/NAME-blind.json` below a run's folder, or a folder `scores/NAME` as `llava eval --out`
 * leaves it.
 */
const folderName = "scores";
const blindEnd = /-blind$/;

/** Scores by name, sighted beside blind. Throws `REPORT_SCORE` for a file that holds no score. */
export async function readScores(run: string): Promise<Score[]> {
  const folder = join(run, folderName);
  const scores = new Map<string, Score>();
  const add = (task: string, { n, ...score }: Omit<Score, "task">): void => {
    const { intervals, ...known } = scores.get(task) ?? {};
    const both = { ...intervals, ...score.intervals };
    scores.set(task, { ...known, ...score, ...(Object.keys(both).length > 0 && { intervals: both }), task, n });
  };
  for (const { name, isFolder } of await entriesOf(folder)) {
    if (isFolder) {
      const inside = (await entriesOf(join(folder, name))).map((each) => each.name);
      if (inside.includes("score.json")) add(name, await readScore(join(folder, name, "score.json"), "sighted"));
      if (inside.includes("score-blind.json"))
        add(name, await readScore(join(folder, name, "score-blind.json"), "blind"));
    } else if (name.endsWith(".json")) {
      const stem = basename(name, ".json");
      add(stem.replace(blindEnd, ""), await readScore(join(folder, name), blindEnd.test(stem) ? "blind" : "sighted"));
    }
  }
  return [...scores.values()];
}

async function entriesOf(folder: string): Promise<{ readonly name: string; readonly isFolder: boolean }[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const named = entries.map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }));
  return named.toSorted((a, b) => (a.name < b.name ? -1 : 1));
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

type Side = "sighted" | "blind";

/** What `llava eval --json` printed; after `--both` it holds the blind score too. */
async function readScore(path: string, side: Side): Promise<Omit<Score, "task">> {
  const content = await readJsonFile(path);
  const score = isRecord(content) ? sideOf(content, side) : undefined;
  if (score !== undefined) {
    const other = isRecord(content) && isRecord(content["blind"]) ? sideOf(content["blind"], "blind") : undefined;
    return { ...other, ...score, ...joined(other, score) };
  }
  throw new InputError("REPORT_SCORE", {
    expected: "what `llava eval --json` prints, with `n` and `accuracy`",
    got: "something else",
    where: path,
  });
}

function joined(...scores: readonly (Omit<Score, "task"> | undefined)[]): Pick<Score, "intervals"> {
  const all = Object.assign({}, ...scores.map((score) => score?.intervals ?? {})) as NonNullable<Score["intervals"]>;
  return Object.keys(all).length > 0 ? { intervals: all } : {};
}

function sideOf({ n, accuracy, intervals }: Record<string, unknown>, side: Side): Omit<Score, "task"> | undefined {
  if (typeof n !== "number" || typeof accuracy !== "number") return undefined;
  const ends: unknown = isRecord(intervals) ? intervals["accuracy"] : undefined;
  const interval = Array.isArray(ends) && ends.length === 2 && ends.every((end) => typeof end === "number");
  return { n, [side]: accuracy, ...(interval && { intervals: { [side]: ends as unknown as [number, number] } }) };
}
