// A whole run: check everything, cache features, train stage after stage, save the model. Yields what happens.
import { createHash } from "node:crypto";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { writeFileAtomic } from "../formats/node.ts";
import { saveModel } from "../models/save-node.ts";
import type { Engine } from "../runtime/engine.ts";
import { type Assembly, assemble } from "./assemble.ts";
import { checkFingerprint, finishedWeights, isIntact, listCheckpoints, type StoredCheckpoint } from "./checkpoint.ts";
import type { TrainEvent } from "./events.ts";
import { cacheFeatures, type FeatureStore, pictureName } from "./features.ts";
import { rewindMetrics, type StepMetrics } from "./metrics.ts";
import { formatRecipe, type Recipe } from "./recipe.ts";
import { trainStage } from "./stage.ts";
import { loadStageData, type StageData } from "./stage-data.ts";

export interface TrainOptions {
  readonly engine: Engine;
  readonly resume?: boolean;
  /** asks for a checkpoint and an end */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: TrainEvent) => void;
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
    const stages: StageData[] = [];
    for (const stage of recipe.stages) {
      const data = await loadStageData({
        assembly,
        stage,
        onProgress: (progress) => emit({ type: "checking", stage: stage.name, progress }),
      });
      emit({ type: "checked", stage: stage.name, sums: data.sums });
      stages.push(data);
    }
    const fingerprint = fingerprintOf(recipe, assembly, stages);
    checkpoints.forEach((checkpoint) => checkFingerprint(checkpoint, fingerprint));
    await mkdir(join(recipe.output, "checkpoints"), { recursive: true });
    await writeFileAtomic(join(recipe.output, "recipe.yaml"), formatRecipe(recipe));
    const features = await allFeatures(recipe, assembly, stages, options, emit);
    const finished = await runStages({ recipe, options, emit, assembly, stages, features, fingerprint, checkpoints });
    return { finished, assembly, stages };
  } finally {
    await assembly.close();
  }
}

/** Pictures of all stages, each once. */
function allFeatures(
  recipe: Recipe,
  assembly: Assembly,
  stages: readonly StageData[],
  { engine, signal }: TrainOptions,
  emit: (event: TrainEvent) => void,
): Promise<FeatureStore> {
  const pictures = new Map(
    stages.flatMap((data) => data.pictures.map((picture) => [pictureName(picture), picture] as const)),
  );
  return cacheFeatures({
    engine,
    assembly,
    pictures: [...pictures.values()],
    cache: recipe.cache,
    onProgress: (progress) => emit({ type: "features", progress }),
    ...(signal === undefined ? {} : { signal }),
  });
}

interface Run {
  readonly recipe: Recipe;
  readonly options: TrainOptions;
  readonly emit: (event: TrainEvent) => void;
  readonly assembly: Assembly;
  readonly stages: readonly StageData[];
  readonly features: FeatureStore;
  readonly fingerprint: string;
  readonly checkpoints: readonly StoredCheckpoint[];
}

/** Returns whether all stages are done; false when it was interrupted. */
async function runStages(run: Run): Promise<boolean> {
  const { recipe, options, emit, stages, checkpoints } = run;
  const folder = join(recipe.output, "checkpoints");
  const metrics = join(recipe.output, "metrics.jsonl");
  const resumeAt = await newestIntact(checkpoints, recipe, emit);
  await rewindMetrics(metrics, (line) => isBefore(recipe, line, resumeAt));
  let current: Pick<Assembly, "projector" | "language"> = run.assembly;
  for (const data of stages) {
    const done = await finishedCheckpoint(folder, data.stage.name);
    if (done) emit({ type: "skipped", stage: data.stage.name });
    else {
      const outcome = await trainStage({
        engine: options.engine,
        config: run.assembly.config,
        weights: current,
        data,
        features: run.features,
        fingerprint: run.fingerprint,
        folder,
        metrics,
        emit,
        ...(resumeAt?.stage === data.stage.name ? { resumeFrom: resumeAt } : {}),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
      if (outcome === "interrupted") return false;
    }
    current = await overlay(current, (await finishedCheckpoint(folder, data.stage.name))!);
  }
  const path = join(recipe.output, "model");
  await saveModel(path, { ...run.assembly, ...current, config: savedConfig(run) });
  emit({ type: "saved", path });
  return true;
}

/** The model remembers the template of its last stage, so that it is asked the way it was trained. */
function savedConfig({ assembly, recipe }: Run): Assembly["config"] {
  const template = recipe.stages.at(-1)!.template ?? assembly.config.template;
  return template === undefined ? assembly.config : { ...assembly.config, template };
}

async function overlay<W extends Pick<Assembly, "projector" | "language">>(
  weights: W,
  finished: StoredCheckpoint,
): Promise<Pick<Assembly, "projector" | "language">> {
  return {
    projector: (await finishedWeights(finished, "projector", weights.projector.shapes)) ?? weights.projector,
    language: (await finishedWeights(finished, "language", weights.language.shapes)) ?? weights.language,
  };
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

function isBefore(recipe: Recipe, { stage, step }: StepMetrics, at: StoredCheckpoint | undefined): boolean {
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
function fingerprintOf(recipe: Recipe, { config }: Assembly, stages: readonly StageData[]): string {
  const decisive = { ...recipe, output: undefined, cache: undefined };
  return createHash("sha256")
    .update(JSON.stringify([decisive, config, stages.map(({ hash }) => hash)]))
    .digest("hex");
}
