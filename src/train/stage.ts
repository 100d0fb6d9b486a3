// One stage: load its weights, make its steps, write its checkpoints.
import type { EncodedSample } from "../data/encode.ts";
import { flushFile } from "../formats/node.ts";
import { neededWeights } from "../models/vision.ts";
import { someWeights } from "../models/weights.ts";
import type { Engine } from "../runtime/engine.ts";
import type { Assembly } from "./assemble.ts";
import { microBatches } from "./batches.ts";
import { dropOldBest } from "./best.ts";
import { checkpointBytes, restoreCheckpoint } from "./checkpoint.ts";
import {
  type CheckpointOrigin,
  listCheckpoints,
  removeOlder,
  type StoredCheckpoint,
  writeCheckpoint,
} from "./checkpoint-files.ts";
import type { EvaluationOptions } from "./evaluation.ts";
import type { TrainEvent } from "./events.ts";
import { appendMetrics, type StepMetrics } from "./metrics.ts";
import { loadStagePart } from "./adapted-part.ts";
import type { MicroBatch } from "./micro-batch.ts";
import {
  blame,
  isFinite,
  mostSkippedInARow,
  notFinite,
  type Outcome,
  recordSkipped,
  type SkippedStep,
} from "./not-finite.ts";
import { optimisers } from "./optimisers/registry.ts";
import { sharedRoom } from "./memory-plan.ts";
import { loadPart, type PartParameters } from "./parameters.ts";
import type { Questions } from "./questions.ts";
import type { StagePictures } from "./pixels.ts";
import { requireCheckpointRoom } from "./room.ts";
import { learningRateFactor } from "./schedule.ts";
import type { StageData } from "./stage-data.ts";
import { machineBytes, planStage } from "./stage-plan.ts";
import { settleStage, watchStage } from "./stage-watch.ts";
import { createStepper, type Stepper } from "./step.ts";
import type { Parts } from "./step-context.ts";
import type { StepOptions } from "./update.ts";
import { isDue, isStale, type WatchState } from "./watch.ts";

export interface StageOptions {
  readonly engine: Engine;
  readonly assembly: EvaluationOptions["assembly"];
  readonly weights: Pick<Assembly, "vision" | "projector" | "language">;
  readonly data: StageData;
  readonly questions: Questions | undefined;
  readonly features: StagePictures;
  readonly origin: CheckpointOrigin;
  /** the run's stages in order */
  readonly stages: readonly string[];
  /** of checkpoints */
  readonly folder: string;
  /** metrics.jsonl */
  readonly metrics: string;
  /** skipped.jsonl */
  readonly skipped: string;
  readonly emit: (event: TrainEvent) => void;
  readonly resumeFrom?: StoredCheckpoint;
  readonly signal?: AbortSignal;
}

/** Trains to the stage's end, whose checkpoint it returns, or to the interruption (undefined); either leaves one. */
export async function trainStage(options: StageOptions): Promise<StoredCheckpoint | undefined> {
  const { engine, assembly, weights, data, features } = options;
  const optimiser = optimisers[data.stage.optimizer].create(engine);
  const { vision, features: chosen } = assembly.config;
  const { memory, room } = planStage(data, { config: assembly.config, optimiser, total: machineBytes() });
  const seeing = someWeights(weights.vision, neededWeights(vision, chosen));
  const parts: Parts = {
    ...(data.stage.train.includes("vision")
      ? { vision: await loadPart(engine, "vision", seeing, true, { optimiser }) }
      : {}),
    projector: await loadStagePart(engine, "projector", weights.projector, data.stage, { optimiser }),
    language: await loadStagePart(engine, "language", weights.language, data.stage, {
      optimiser,
      ...(memory.shared && { shared: sharedRoom(assembly.config.language, room, memory.activations) }),
    }),
  };
  if (options.resumeFrom) await restoreCheckpoint(engine, parts, options.resumeFrom);
  const stepper = createStepper({ engine, config: assembly.config, parts, ...room, features: features.load, memory });
  try {
    return await makeSteps({ ...options, parts, stepper });
  } finally {
    await stepper.release();
    await optimiser.release?.();
    for (const part of Object.values(parts) as PartParameters[]) part.release();
  }
}

interface RunningStage extends StageOptions {
  readonly parts: Parts;
  readonly stepper: Stepper;
}

async function makeSteps(running: RunningStage): Promise<StoredCheckpoint | undefined> {
  const { data, emit, resumeFrom } = running;
  const { stage, plan } = data;
  const start = resumeFrom?.step ?? 0;
  await refuseFullDisk(running, plan.steps - start);
  let watch = resumeFrom?.state?.watch;
  let saved = start;
  let skipped = 0;
  let step = start;
  emit({ type: "stage", stage: stage.name, from: start + 1, steps: plan.steps });
  for (; ; step++) {
    if (step > start) {
      const result = await makeStep(running, step, skipped);
      if (result === "interrupted") return interrupt(running, { step: step - 1, watch }, saved);
      skipped = result === "skipped" ? skipped + 1 : 0;
    }
    watch = await watchStage(running, step, watch);
    if (isOver(data, step, watch)) break;
    if (running.signal?.aborted === true) return interrupt(running, { step, watch }, saved);
    if (stage.checkpoint_every > 0 && step > start && step % stage.checkpoint_every === 0) {
      emit({ type: "checkpoint", path: (await save(running, { step, watch })).path });
      saved = step;
    }
  }
  const best = watch?.best?.step;
  if (step < plan.steps && best !== undefined) emit({ type: "stopped", stage: stage.name, step, best });
  await settleStage(running, watch);
  const end = await save(running, { step, watch }, "finished");
  emit({ type: "checkpoint", path: end.path });
  return end;
}

/** Saves where a stage stands, unless that is saved already, or it has not begun. */
async function interrupt(running: RunningStage, place: Place, saved: number): Promise<undefined> {
  if (place.step !== saved) await save(running, place, "in a hurry");
  running.emit({ type: "interrupted", stage: running.data.stage.name, step: place.step });
}

/** After its last step, or when its evaluations say so; not while an evaluation is owed. */
function isOver({ stage, plan }: StageData, step: number, watch: WatchState | undefined): boolean {
  if (stage.evaluate !== undefined && isDue(stage.evaluate, watch, step, plan.steps)) return false;
  return step >= plan.steps || (stage.evaluate !== undefined && isStale(stage.evaluate, watch));
}

/** Learns from one step's samples, and notes its figures; "skipped" when they were not finite and the recipe bears that. */
async function makeStep(
  running: RunningStage,
  step: number,
  skippedBefore: number,
): Promise<"done" | "skipped" | "interrupted"> {
  const started = performance.now();
  const { assembly, data, stepper, emit } = running;
  const { stage, plan, layout } = data;
  const samples = [...plan.samplesOf(step)].map((i) => data.samples[i]!);
  const batchesOf = (some: readonly EncodedSample[]): MicroBatch[] =>
    microBatches(some, layout, assembly.config.language);
  const batches = batchesOf(samples);
  const update = updateAt(data, step);
  const outcome = await accumulate(running, batches);
  if (outcome === undefined) return "interrupted";
  if (!isFinite(outcome)) {
    await skip(running, step, outcome, await blame(stepper, samples, batchesOf), skippedBefore);
    return "skipped";
  }
  await stepper.update(step, outcome.gradNorm, update);
  const metrics: StepMetrics = {
    stage: stage.name,
    step,
    steps: plan.steps,
    loss: outcome.loss,
    learning_rate: update.learningRates[stage.train[0]!] ?? 0,
    learning_rates: update.learningRates,
    grad_norm: outcome.gradNorm,
    tokens: batches.reduce((sum, batch) => sum + batch.tokens, 0),
    supervised_tokens: batches.reduce((sum, batch) => sum + batch.targetIds.length, 0),
    seconds: (performance.now() - started) / 1000,
  };
  await appendMetrics(running.metrics, metrics);
  emit({ type: "step", metrics });
  return "done";
}

/** Loss and gradient norm; undefined when the run was asked to stop on the way. */
async function accumulate(
  { stepper, signal }: RunningStage,
  batches: readonly MicroBatch[],
): Promise<Outcome | undefined> {
  try {
    return await stepper.accumulate(batches, signal);
  } catch (error) {
    if (signal?.aborted === true && error === signal.reason) return undefined;
    throw error;
  }
}

/** Leaves a step out, or throws where the recipe says so or too many were left out before. */
async function skip(
  { data: { stage }, emit, skipped: path }: StageOptions,
  step: number,
  { loss, gradNorm }: Outcome,
  samples: readonly string[],
  before: number,
): Promise<void> {
  const got = `loss ${loss}, gradient norm ${gradNorm}`;
  const skipped: SkippedStep = { stage: stage.name, step, got, samples };
  if (stage.on_nan === "stop") throw notFinite(skipped);
  if (before >= mostSkippedInARow) throw notFinite(skipped, before);
  await recordSkipped(path, skipped);
  emit({ type: "not_finite", skipped });
}

function updateAt({ stage, plan }: StageData, step: number): StepOptions {
  const factor = learningRateFactor(stage.schedule, step, plan.steps, stage.warmup);
  const rates = Object.entries(stage.learning_rate).map(([part, rate]) => [part, rate * factor]);
  return {
    learningRates: Object.fromEntries(rates) as StepOptions["learningRates"],
    betas: stage.betas,
    epsilon: stage.epsilon,
    weightDecay: stage.weight_decay,
    maxGradNorm: stage.max_grad_norm,
  };
}

async function refuseFullDisk({ data, engine, parts, folder, stages }: RunningStage, left: number): Promise<void> {
  const present = (await listCheckpoints(folder, stages)).filter(({ finished }) => !finished).length;
  await requireCheckpointRoom(folder, checkpointBytes(engine, parts, false).size, data.stage, left, present);
}

interface Place {
  readonly step: number;
  readonly watch: WatchState | undefined;
}

/** Writes a checkpoint and, once it was read back whole, removes those beyond the recipe's `keep`; none in a hurry. */
async function save(
  { engine, parts, data, origin, folder, stages, metrics }: RunningStage,
  { step, watch }: Place,
  mode: "under way" | "finished" | "in a hurry" = "under way",
): Promise<StoredCheckpoint> {
  const stage = data.stage.name;
  const [finished, hurry] = [mode === "finished", mode === "in a hurry"];
  // a checkpoint counts only with the lines of metrics before it
  await flushFile(metrics);
  const state = { stage, step, finished, ...origin, ...(watch && { watch }) };
  const stored = await writeCheckpoint(folder, state, checkpointBytes(engine, parts, finished), !hurry);
  if (!hurry) {
    await removeOlder(folder, stages, stored, data.stage.keep);
    await dropOldBest(folder, stage);
  }
  return stored;
}
