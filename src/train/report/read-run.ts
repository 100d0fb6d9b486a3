// Reads a run's folder: recipe, metrics, scores and record, as far as they are there.
import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { parse } from "yaml";
import { isRecord } from "../../data/untrusted.ts";
import { InputError } from "../../errors.ts";
import { readTextFile } from "../../formats/node.ts";
import type { Thumbnails } from "../../image/thumbnails-node.ts";
import type { EvaluationMetrics, Metrics, SampleAnswer } from "../metrics.ts";
import type { PictureAnswer, ReportData, RunState, StageReport } from "./data.ts";
import { readCheckedMetrics } from "./read-metrics.ts";
import { readRecord, type RunRecord } from "./record.ts";
import { readScores } from "./scores.ts";

const mostAnswers = 12;
const mostBefore = 5;

/**
 * What a report of the run in `folder` shows. Folders written by earlier versions, or by runs that still go on, give
 * what they hold. Throws `REPORT_NO_RUN`, `REPORT_METRICS`, `REPORT_RECORD`, `REPORT_SCORE`, and what reading files throws.
 */
export async function readRun(folder: string, thumbnails: Thumbnails): Promise<ReportData> {
  const recipe = await recipeText(folder);
  const { name, stages } = readOutline(recipe, folder);
  const metrics = await readCheckedMetrics(join(folder, "metrics.jsonl"));
  const record = await readRecord(folder);
  const state = record?.state ?? (await stateOf(folder));
  return {
    name,
    ...(state !== undefined && { state }),
    updated: record === undefined ? await changed(folder) : new Date(record.updated),
    stages: stages.map((stage) => stageReport(stage, metrics, record)),
    masks: record?.masks ?? [],
    answers: await shownAnswers(record?.answers ?? [], metrics.evaluations, thumbnails),
    scores: await readScores(folder),
    facts: record?.facts ?? [],
    ...(record !== undefined && { peakBytes: record.peak_bytes }),
    recipe,
  };
}

async function recipeText(folder: string): Promise<string> {
  return readTextFile(join(folder, "recipe.yaml")).catch((cause: unknown) => {
    if (!(cause instanceof InputError) || cause.code !== "FILE_MISSING") throw cause;
    throw new InputError("REPORT_NO_RUN", {
      expected: "the folder of a training run, with recipe.yaml and metrics.jsonl",
      got: "no recipe.yaml",
      where: folder,
      fix: "name the folder that the recipe calls `output`",
    });
  });
}

interface StageOutline {
  readonly name: string;
  readonly train: readonly string[];
}

/** Names alone: recipes of other versions have other keys. */
function readOutline(text: string, folder: string): { name: string; stages: readonly StageOutline[] } {
  const recipe: unknown = readYaml(text, folder);
  const stages = isRecord(recipe) && Array.isArray(recipe["stages"]) ? recipe["stages"].filter(isRecord) : [];
  const name = isRecord(recipe) ? recipe["name"] : undefined;
  return {
    name: typeof name === "string" ? name : basename(resolve(folder)),
    stages: stages.map((stage) => ({ name: String(stage["name"]), train: partsOf(stage["train"]) })),
  };
}

function readYaml(text: string, folder: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    const got = cause instanceof Error ? cause.message.split("\n")[0]! : "something else";
    throw new InputError("REPORT_NO_RUN", { expected: "a recipe", got, where: join(folder, "recipe.yaml"), cause });
  }
}

/** A list of parts, or parts with how each is trained. */
function partsOf(train: unknown): string[] {
  if (Array.isArray(train)) return train.map(String);
  return isRecord(train) ? Object.keys(train) : [];
}

function stageReport({ name, train }: StageOutline, metrics: Metrics, record: RunRecord | undefined): StageReport {
  const points = metrics.steps.filter(({ stage }) => stage === name);
  const sums = record?.stages.find((stage) => stage.name === name)?.sums;
  return {
    name,
    train,
    steps: points.at(-1)?.steps ?? sums?.steps ?? 0,
    ...(sums !== undefined && { sums }),
    points,
    evaluations: metrics.evaluations.filter(({ stage }) => stage === name),
  };
}

async function stateOf(folder: string): Promise<RunState | undefined> {
  return (await exists(join(folder, "model", "config.json"))) ? "finished" : undefined;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function changed(folder: string): Promise<Date> {
  return stat(join(folder, "metrics.jsonl")).then(
    ({ mtime }) => mtime,
    () => new Date(),
  );
}

/** What the finished model said, else the newest evaluation's answers, each with what was said before. */
async function shownAnswers(
  asked: readonly SampleAnswer[],
  evaluations: readonly EvaluationMetrics[],
  thumbnails: Thumbnails,
): Promise<PictureAnswer[]> {
  const newest = evaluations.findLast(({ answers }) => answers.length > 0);
  const latest = asked.length > 0 ? asked : (newest?.answers ?? []);
  const earlier = asked.length > 0 ? evaluations : evaluations.filter((one) => one !== newest);
  const shown: PictureAnswer[] = [];
  for (const { picture, ...said } of latest.slice(0, mostAnswers)) {
    const small = await thumbnails(picture);
    const before = earlier.flatMap(({ stage, step, answers }) =>
      answers
        .filter((one) => one.picture === picture && one.question === said.question)
        .map(({ answer }) => ({ at: `${stage}, step ${step}`, text: answer })),
    );
    shown.push({ ...said, ...(small !== undefined && { picture: small }), before: spread(before, mostBefore) });
  }
  return shown;
}

/** So many of a list, evenly, with its first and last. */
function spread<T>(list: readonly T[], most: number): readonly T[] {
  if (list.length <= most) return list;
  return Array.from({ length: most }, (_, i) => list[Math.round((i * (list.length - 1)) / (most - 1))]!);
}
