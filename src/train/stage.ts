// One stage: load its weights, make its steps, write its checkpoints.
import { join } from "node:path";
import { neededWeights } from "../models/vision.ts";
import { someWeights } from "../models/weights.ts";
import type { Engine } from "../runtime/engine.ts";
import type { Assembly } from "./assemble.ts";
import { microBatches, type RowLayout } from "./batches.ts";
import { dropOldBest } from "./best.ts";
import { checkpointName, restoreCheckpoint, type StoredCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import type { EvaluationOptions } from "./evaluation.ts";
import type { TrainEvent } from "./events.ts";
import { appendMetrics, type StepMetrics } from "./metrics.ts";
import { loadStagePart } from "./adapted-part.ts";
import { optimisers } from "./optimisers/registry.ts";
import { loadPart, type PartParameters } from "./parameters.ts";
import type { Questions } from "./questions.ts";
import type { StagePictures } from "./pixels.ts";
import { learningRateFactor } from "./schedule.ts";
import type { StageData } from "./stage-data.ts";
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
  readonly fingerprint: string;
  /** of checkpoints */
  readonly folder: string;
  /** metrics.jsonl */
  readonly metrics: string;
  readonly emit: (event: TrainEvent) => void;
  readonly resumeFrom?: StoredCheckpoint;
  readonly signal?: AbortSignal;
}

/** Trains to the stage's end, or to the interruption; either leaves a checkpoint. */
export async function trainStage(options: StageOptions): Promise<"finished" | "interrupted"> {
  const { engine, assembly, weights, data, features } = options;
  const optimiser = optimisers[data.stage.optimizer].create(engine);
  const { vision, features: chosen } = assembly.config;
  const seeing = someWeights(weights.vision, neededWeights(vision, chosen));
  const parts: Parts = {
    ...(data.stage.train.includes("vision")
      ? { vision: await loadPart(engine, "vision", seeing, true, optimiser) }
      : {}),
    projector: await loadStagePart(engine, "projector", weights.projector, data.stage, optimiser),
    language: await loadStagePart(engine, "language", weights.language, data.stage, optimiser),
  };
  if (options.resumeFrom) await restoreCheckpoint(engine, parts, options.resumeFrom);
  const room = roomFor([data.layout, ...(data.heldOut ? [data.heldOut.layout] : [])]);
  const stepper = createStepper({ engine, config: assembly.config, parts, ...room, features: features.load });
  try {
    return await makeSteps({ ...options, parts, stepper });
  } finally {
    await stepper.release();
    await optimiser.release?.();
    for (const part of Object.values(parts) as PartParameters[]) part.release();
  }
}

/** Buffers that hold the largest micro-batch of any layout. */
function roomFor(layouts: readonly RowLayout[]): Pick<RowLayout, "length" | "tokens"> {
  const most = (of: (layout: RowLayout) => number): number => layouts.reduce((n, layout) => Math.max(n, of(layout)), 0);
  return { length: most(({ length }) => length), tokens: most(({ tokens }) => tokens) };
}

interface RunningStage extends StageOptions {
  readonly parts: Parts;
  readonly stepper: Stepper;
}

async function makeSteps(running: RunningStage): Promise<"finished" | "interrupted"> {
  const { data, emit, signal, resumeFrom } = running;
  const { stage, plan } = data;
  const start = resumeFrom?.step ?? 0;
  let watch = resumeFrom?.watch;
  let step = start;
  emit({ type: "stage", stage: stage.name, from: start + 1, steps: plan.steps });
  for (; ; step++) {
    if (step > start) await makeStep(running, step);
    watch = await watchStage(running, step, watch);
    if (isOver(data, step, watch)) break;
    if (signal?.aborted === true) {
      emit({ type: "interrupted", path: await save(running, { step, watch, finished: false }) });
      return "interrupted";
    }
    if (stage.checkpoint_every > 0 && step > start && step % stage.checkpoint_every === 0) {
      emit({ type: "checkpoint", path: await save(running, { step, watch, finished: false }) });
    }
  }
  const best = watch?.best?.step;
  if (step < plan.steps && best !== undefined) emit({ type: "stopped", stage: stage.name, step, best });
  await settleStage(running, watch);
  emit({ type: "checkpoint", path: await save(running, { step, watch, finished: true }) });
  return "finished";
}

/** After its last step, or when its evaluations say so; not while an evaluation is owed. */
function isOver({ stage, plan }: StageData, step: number, watch: WatchState | undefined): boolean {
  if (stage.evaluate !== undefined && isDue(stage.evaluate, watch, step, plan.steps)) return false;
  return step >= plan.steps || (stage.evaluate !== undefined && isStale(stage.evaluate, watch));
}

/** Learns from one step's samples, and notes its figures. */
async function makeStep({ assembly, data, stepper, metrics: file, emit }: RunningStage, step: number): Promise<void> {
  const started = performance.now();
  const { stage, plan, samples, layout } = data;
  const batches = microBatches(
    [...plan.samplesOf(step)].map((i) => samples[i]!),
    layout,
    assembly.config.language,
  );
  const update = updateAt(data, step);
  const { loss, gradNorm } = await stepper.accumulate(batches);
  await stepper.update(step, gradNorm, update);
  const metrics: StepMetrics = {
    stage: stage.name,
    step,
    steps: plan.steps,
    loss,
    learning_rate: update.learningRates[stage.train[0]!] ?? 0,
    learning_rates: update.learningRates,
    grad_norm: gradNorm,
    tokens: batches.reduce((sum, batch) => sum + batch.tokens, 0),
    supervised_tokens: batches.reduce((sum, batch) => sum + batch.targetIds.length, 0),
    seconds: (performance.now() - started) / 1000,
  };
  await appendMetrics(file, metrics);
  emit({ type: "step", metrics });
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

async function save(
  { engine, parts, data, fingerprint, folder }: RunningStage,
  { step, watch, finished }: { step: number; watch: WatchState | undefined; finished: boolean },
): Promise<string> {
  const stage = data.stage.name;
  const state = { stage, step, finished, fingerprint, ...(watch && { watch }) };
  await writeCheckpoint(engine, parts, state, folder);
  await dropOldBest(folder, stage);
  return join(folder, checkpointName(state));
}
