// A whole run: check everything, cache features, train stage after stage, save the model. Yields what happens.
import { readdir } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { BugError, InputError, RunError } from "../errors.ts";
import { lockFile, refuseLocked } from "../formats/lock-node.ts";
import { appendText, makeFolder, writeFileAtomic } from "../formats/node.ts";
import { saveModel } from "../models/save-node.ts";
import type { Engine } from "../runtime/engine.ts";
import { type Assembly, assemble } from "./assemble.ts";
import { dropOldBest, findBest } from "./best.ts";
import { type CheckpointOrigin, listCheckpoints, removeUnfinished, type StoredCheckpoint } from "./checkpoint-files.ts";
import { runCard } from "./card.ts";
import type { TrainEvent } from "./events.ts";
import { cacheFeatures, type FeatureStore, pictureName } from "./features.ts";
import { differences, pictureInputs, refuseChanged, runInputs, type RunInputs } from "./inputs.ts";
import type { OpenQuestions, Questions } from "./questions.ts";
import { viewsOf } from "./picture-views.ts";
import { formatRecipe, type Recipe } from "./recipe.ts";
import { maskPreviews } from "./report/masks.ts";
import { livePixels, type StagePictures } from "./pixels.ts";
import { type ResumePoint, resumePoint } from "./resume.ts";
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

/** Runs a recipe into its output folder. Throws before touching that when recipe, data or models are wrong. */
export async function train(recipe: Recipe, options: TrainOptions): Promise<TrainedRun> {
  const emit = options.onEvent ?? (() => {});
  await refuseLocked(lockPath(recipe), busy);
  await refuseExisting(recipe, options.resume ?? false);
  const assembly = await assemble(recipe);
  try {
    const stages = await loadStages({
      assembly,
      stages: recipe.stages,
      cache: recipe.cache,
      onProgress: ({ name }, progress) => {
        options.signal?.throwIfAborted();
        emit({ type: "checking", stage: name, progress });
      },
    });
    const questions = await openAllQuestions(recipe, options);
    for (const data of stages) {
      emit({ type: "checked", stage: data.stage.name, sums: data.sums, masks: maskPreviews(assembly, data) });
    }
    const finished = await runLocked({ recipe, options, emit, assembly, stages, questions });
    return { finished, assembly, stages };
  } finally {
    await assembly.close();
  }
}

const busy = { code: "RUN_BUSY", expected: "no other run in this output folder" };
const lockPath = ({ output }: Recipe): string => join(output, ".lock");
const checkpointFolder = ({ output }: Recipe): string => join(output, "checkpoints");

/** All that writes into the output folder, one process at a time. Returns whether the run was finished. */
async function runLocked(prepared: Prepared): Promise<boolean> {
  const { recipe, options, assembly, stages, questions } = prepared;
  const inputs = await runInputs(recipe, assembly.config, stages, questions);
  await refuseChangedRun(recipe, inputs);
  await makeFolder(recipe.output);
  const unlock = await lockFile(lockPath(recipe), busy);
  try {
    // what another run did while this one checked its data
    await refuseExisting(recipe, options.resume ?? false);
    await makeFolder(checkpointFolder(recipe));
    const frozen = stages.filter((_, i) => !stages.slice(0, i + 1).some(trainsVision));
    const features = await featuresOf(prepared, assembly, frozen);
    const all = { ...inputs, ...(await pictureInputs(stages, questions, features)) };
    await refuseChangedRun(recipe, all);
    await writeFileAtomic(join(recipe.output, "recipe.yaml"), formatRecipe(recipe));
    await appendText(join(recipe.output, "metrics.jsonl"), "");
    const origin = { inputs: all, machine: machineOf(options.engine) };
    return await runStages({ ...prepared, features, origin });
  } catch (error) {
    throw error instanceof RunError && error.code === "DISK_FULL" ? resumable(error) : error;
  } finally {
    await unlock();
  }
}

function resumable({ code, details }: RunError): RunError {
  const fix = "free some disk space, then go on with --resume: the checkpoints before are whole";
  return new RunError(code, { ...details, fix });
}

async function refuseChangedRun(recipe: Recipe, inputs: RunInputs): Promise<void> {
  const names = recipe.stages.map(({ name }) => name);
  for (const { path, state } of await listCheckpoints(checkpointFolder(recipe), names)) {
    if (state !== undefined) refuseChanged(path, state.inputs, inputs);
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
  const all = [...stages.flatMap(({ pictures }) => pictures), ...(await viewsOf(asked, assembly))];
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
}

interface Run extends Prepared {
  readonly features: FeatureStore;
  readonly origin: CheckpointOrigin;
}

/** Returns whether all stages are done; false when it was interrupted. */
async function runStages(run: Run): Promise<boolean> {
  const { recipe, options, emit, origin } = run;
  const folder = checkpointFolder(recipe);
  const logs = { metrics: join(recipe.output, "metrics.jsonl"), skipped: join(recipe.output, "skipped.jsonl") };
  const names = recipe.stages.map(({ name }) => name);
  const point = await resumePoint({ folder, logs: Object.values(logs), stages: recipe.stages, emit });
  tellMachine(point, origin.machine, emit);
  const { vision, projector, language } = run.assembly;
  let current: Trained = { vision, projector, language };
  let before = current;
  const add = async (end: StoredCheckpoint): Promise<void> => {
    const stage = recipe.stages.find(({ name }) => name === end.stage)!;
    [before, current] = [current, await afterStage(current, stage, end)];
  };
  for (const base of point.bases) await add(base);
  for (const name of names.slice(0, point.stage)) emit({ type: "skipped", stage: name });
  let end = point.bases.at(-1);
  for (const [i, data] of run.stages.entries()) {
    if (i < point.stage) continue;
    const { name } = data.stage;
    end = await trainStage({
      engine: options.engine,
      assembly: run.assembly,
      weights: wholeWeights(current),
      data,
      questions: run.questions.get(name),
      features: await picturesFor(run, i, current),
      origin,
      stages: names,
      folder,
      ...logs,
      emit,
      ...(point.from?.stage === name ? { resumeFrom: point.from } : {}),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    if (end === undefined) return false;
    await add(end);
  }
  await saveBest(run, before, end!, folder);
  await save(run, current, "model");
  await removeUnfinished(folder, names);
  for (const name of names) await dropOldBest(folder, name);
  return true;
}

/** What computes: others may round differently. */
function machineOf({ threads }: Engine): RunInputs {
  return { node: process.version, processor: cpus()[0]?.model.trim() ?? "unknown", threads };
}

function tellMachine({ from, bases }: ResumePoint, machine: RunInputs, emit: (event: TrainEvent) => void): void {
  const before = (from ?? bases.at(-1))?.state?.machine;
  const changes = before === undefined ? [] : differences(before, machine);
  if (changes.length > 0) emit({ type: "machine", changes });
}

async function save(run: Run, weights: Trained, name: string): Promise<void> {
  const path = join(run.recipe.output, name);
  const config = savedConfig(run);
  await saveModel(path, { ...run.assembly, ...weights, config, card: await runCard(run.recipe, config) });
  run.emit({ type: "saved", path });
}

/** `model-best` beside `model`: the weights of the last stage's best evaluation, where `model` has those of its last step. */
async function saveBest(run: Run, before: Trained, { stage, state }: StoredCheckpoint, folder: string): Promise<void> {
  const last = run.recipe.stages.at(-1)!;
  if (last.evaluate?.keep !== "last" || state?.watch?.best === undefined) return;
  const { step } = state.watch.best;
  const best = await findBest(folder, stage, step);
  if (best === undefined) run.emit({ type: "lost", stage, step });
  else await save(run, await afterStage(before, last, best), "model-best");
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

async function refuseExisting({ output }: Recipe, resume: boolean): Promise<void> {
  const present = (await readdir(output).catch(() => [])).filter((name) =>
    ["metrics.jsonl", "checkpoints", "model"].includes(name),
  );
  if (resume || present.length === 0) return;
  throw new InputError("OUTPUT_EXISTS", {
    expected: "a new output folder",
    got: `a run already (${present.join(", ")})`,
    where: output,
    fix: "go on with --resume, name another --set output=…, or remove the folder",
  });
}
