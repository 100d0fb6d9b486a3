// A whole run: check everything, cache features, train stage after stage, save the model. Yields what happens.
import { createHash } from "node:crypto";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { BugError, InputError } from "../errors.ts";
import { writeFileAtomic } from "../formats/node.ts";
import { saveModel } from "../models/save-node.ts";
import type { Engine } from "../runtime/engine.ts";
import { type Assembly, assemble } from "./assemble.ts";
import { findBest } from "./best.ts";
import { checkFingerprint, isIntact, listCheckpoints, type StoredCheckpoint } from "./checkpoint.ts";
import type { TrainEvent } from "./events.ts";
import { cacheFeatures, type FeatureStore, pictureName } from "./features.ts";
import { rewindMetrics } from "./metrics.ts";
import type { OpenQuestions, Questions } from "./questions.ts";
import { viewsOf } from "./picture-views.ts";
import { formatRecipe, type Recipe } from "./recipe.ts";
import { maskPreviews } from "./report/masks.ts";
import { livePixels, type StagePictures } from "./pixels.ts";
import { trainStage } from "./stage.ts";
import { loadStages, type StageData } from "./stage-data.ts";
import { afterStage, type Trained, wholeWeights } from "./trained.ts";

export interface TrainOptions {
  readonly engine: Engine;
  readonly resume?: boolean;
  /** asks for a checkpoint and an end */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: TrainEvent) => void;
  /** needed by recipes whose stages are evaluated on questions */
  readonly openQuestions?: OpenQuestions;
}

/** What a finished run can be reported with. */
export interface TrainedRun {
  readonly finished: boolean;
  readonly assembly: Pick<Assembly, "config" | "tokenizer">;
  readonly stages: readonly StageData[];
}

/** Runs a recipe into its output folder. Throws before touching anything when recipe, data or models are wrong. */
export async function train(recipe: Recipe, options: TrainOptions): Promise<TrainedRun> {
  const emit = options.onEvent ?? (() => {});
  const checkpoints = await existingCheckpoints(recipe, options.resume ?? false);
  const assembly = await assemble(recipe);
  try {
    const stages = await loadStages({
      assembly,
      stages: recipe.stages,
      onProgress: ({ name }, progress) => emit({ type: "checking", stage: name, progress }),
    });
    const questions = await openAllQuestions(recipe, options);
    for (const data of stages) {
      emit({ type: "checked", stage: data.stage.name, sums: data.sums, masks: maskPreviews(assembly, data) });
    }
    const fingerprint = fingerprintOf(recipe, assembly, stages, questions);
    checkpoints.forEach((checkpoint) => checkFingerprint(checkpoint, fingerprint));
    await mkdir(join(recipe.output, "checkpoints"), { recursive: true });
    await writeFileAtomic(join(recipe.output, "recipe.yaml"), formatRecipe(recipe));
    const prepared = { recipe, options, emit, assembly, stages, questions, fingerprint, checkpoints };
    const frozen = stages.filter((_, i) => !stages.slice(0, i + 1).some(trainsVision));
    const finished = await runStages({ ...prepared, features: await featuresOf(prepared, assembly, frozen) });
    return { finished, assembly, stages };
  } finally {
    await assembly.close();
  }
}

/** The questions of the stages that have some, by the stages' names. */
async function openAllQuestions(
  { stages }: Recipe,
  { openQuestions }: TrainOptions,
): Promise<ReadonlyMap<string, Questions>> {
  const opened = new Map<string, Questions>();
  for (const { name, evaluate } of stages) {
    if (evaluate?.questions === undefined) continue;
    if (openQuestions === undefined)
      throw new BugError("TRAIN_QUESTIONS", { expected: "a caller that opens questions", got: "none", where: name });
    opened.set(name, await openQuestions(evaluate.questions));
  }
  return opened;
}

const trainsVision = ({ stage }: StageData): boolean => stage.train.includes("vision");

/** Pictures of several stages and of their questions through one tower, each once. */
async function featuresOf(
  { recipe, questions, options, emit }: Prepared,
  assembly: Assembly,
  stages: readonly StageData[],
): Promise<FeatureStore> {
  const { engine, signal } = options;
  const asked = stages.flatMap(({ stage }) => questions.get(stage.name)?.pictures ?? []);
  const views = await Promise.all(asked.map((picture) => viewsOf(picture, assembly)));
  const all = [...stages.flatMap(({ pictures }) => pictures), ...views.flat()];
  return cacheFeatures({
    engine,
    assembly,
    pictures: [...new Map(all.map((picture) => [pictureName(picture), picture])).values()],
    cache: recipe.cache,
    onProgress: (progress) => emit({ type: "features", progress }),
    ...(signal === undefined ? {} : { signal }),
  });
}

interface Prepared {
  readonly recipe: Recipe;
  readonly options: TrainOptions;
  readonly emit: (event: TrainEvent) => void;
  readonly assembly: Assembly;
  readonly stages: readonly StageData[];
  readonly questions: ReadonlyMap<string, Questions>;
  readonly fingerprint: string;
  readonly checkpoints: readonly StoredCheckpoint[];
}

interface Run extends Prepared {
  readonly features: FeatureStore;
}

/** Returns whether all stages are done; false when it was interrupted. */
async function runStages(run: Run): Promise<boolean> {
  const { recipe, options, emit, stages, checkpoints } = run;
  const folder = join(recipe.output, "checkpoints");
  const metrics = join(recipe.output, "metrics.jsonl");
  const resumeAt = await newestIntact(checkpoints, recipe, emit);
  await rewindMetrics(metrics, (line) => isBefore(recipe, line, resumeAt));
  const { vision, projector, language } = run.assembly;
  let current: Trained = { vision, projector, language };
  for (const [i, data] of stages.entries()) {
    const done = await finishedCheckpoint(folder, data.stage.name);
    if (done) emit({ type: "skipped", stage: data.stage.name });
    else {
      const outcome = await trainStage({
        engine: options.engine,
        assembly: run.assembly,
        weights: wholeWeights(current),
        data,
        questions: run.questions.get(data.stage.name),
        features: await picturesFor(run, i, current),
        fingerprint: run.fingerprint,
        folder,
        metrics,
        emit,
        ...(resumeAt?.stage === data.stage.name ? { resumeFrom: resumeAt } : {}),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
      if (outcome === "interrupted") return false;
    }
    const finished = (await finishedCheckpoint(folder, data.stage.name))!;
    if (data === stages.at(-1)) await saveBest(run, current, finished, folder);
    current = await afterStage(current, data.stage, finished);
  }
  await save(run, current, "model");
  return true;
}

async function save(run: Run, weights: Trained, name: string): Promise<void> {
  const path = join(run.recipe.output, name);
  await saveModel(path, { ...run.assembly, ...weights, config: savedConfig(run) });
  run.emit({ type: "saved", path });
}

/** `model-best` beside `model`: the weights of the last stage's best evaluation, where `model` has those of its last step. */
async function saveBest(run: Run, before: Trained, { stage, watch }: StoredCheckpoint, folder: string): Promise<void> {
  const last = run.recipe.stages.at(-1)!;
  if (last.evaluate?.keep !== "last" || watch?.best === undefined) return;
  await save(run, await afterStage(before, last, await findBest(folder, stage, watch.best.step)), "model-best");
}

/** The model remembers the template of its last stage, so that it is asked the way it was trained. */
function savedConfig({ assembly, recipe }: Run): Assembly["config"] {
  const template = recipe.stages.at(-1)!.template ?? assembly.config.template;
  return template === undefined ? assembly.config : { ...assembly.config, template };
}

/** Pixels where the stage trains the tower; else features, computed anew behind a stage that did. */
async function picturesFor(run: Run, index: number, { vision }: Trained): Promise<StagePictures> {
  const { assembly, stages } = run;
  const data = stages[index]!;
  if (trainsVision(data)) return { load: livePixels(assembly.preprocessor, data.pictures) };
  if (!stages.slice(0, index).some(trainsVision)) return run.features;
  return featuresOf(run, { ...assembly, vision }, [data]);
}

async function finishedCheckpoint(folder: string, stage: string): Promise<StoredCheckpoint | undefined> {
  return (await listCheckpoints(folder)).find((checkpoint) => checkpoint.stage === stage && checkpoint.finished);
}

/** The furthest checkpoint whose bytes are what was written; damaged ones are passed over, loudly. */
async function newestIntact(
  checkpoints: readonly StoredCheckpoint[],
  recipe: Recipe,
  emit: (event: TrainEvent) => void,
): Promise<StoredCheckpoint | undefined> {
  const place = (c: StoredCheckpoint): number => recipe.stages.findIndex(({ name }) => name === c.stage) * 1e9 + c.step;
  for (const checkpoint of checkpoints.toSorted((a, b) => place(b) - place(a))) {
    if (await isIntact(checkpoint)) return checkpoint;
    emit({ type: "fallback", checkpoint: checkpoint.path });
  }
  return undefined;
}

function isBefore(
  recipe: Recipe,
  { stage, step }: { readonly stage: string; readonly step: number },
  at: StoredCheckpoint | undefined,
): boolean {
  if (at === undefined) return false;
  const index = (name: string): number => recipe.stages.findIndex((one) => one.name === name);
  return index(stage) < index(at.stage) || (stage === at.stage && step <= at.step);
}

async function existingCheckpoints({ output }: Recipe, resume: boolean): Promise<StoredCheckpoint[]> {
  const present = (await readdir(output).catch(() => [])).filter((name) =>
    ["metrics.jsonl", "checkpoints", "model"].includes(name),
  );
  if (resume) return listCheckpoints(join(output, "checkpoints"));
  if (present.length === 0) return [];
  throw new InputError("OUTPUT_EXISTS", {
    expected: "a new output folder",
    got: `a run already (${present.join(", ")})`,
    where: output,
    fix: "go on with --resume, name another --set output=…, or remove the folder",
  });
}

/** Everything that decides the numbers, which is all but where they are written: a resumed run must have the same. */
function fingerprintOf(
  recipe: Recipe,
  { config }: Assembly,
  stages: readonly StageData[],
  questions: ReadonlyMap<string, Questions>,
): string {
  const decisive = { ...recipe, output: undefined, cache: undefined };
  const data = [...stages, ...questions.values()].map(({ hash }) => hash);
  return createHash("sha256")
    .update(JSON.stringify([decisive, config, data]))
    .digest("hex");
}
