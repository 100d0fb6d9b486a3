// One stage: load its weights, make its steps, write its checkpoints.
import type { LlavaConfig } from "../models/config.ts";
import { join } from "node:path";
import type { Engine } from "../runtime/engine.ts";
import type { Assembly } from "./assemble.ts";
import { microBatches } from "./batches.ts";
import { checkpointName, restoreCheckpoint, type StoredCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import type { TrainEvent } from "./events.ts";
import type { FeatureStore } from "./features.ts";
import { appendMetrics, type StepMetrics } from "./metrics.ts";
import { loadPart } from "./parameters.ts";
import type { Part } from "./recipe.ts";
import { learningRateFactor } from "./schedule.ts";
import type { StageData } from "./stage-data.ts";
import { createStepper, type Stepper } from "./step.ts";
import type { Parts } from "./step-context.ts";
import type { AdamW } from "./update.ts";

export interface StageOptions {
  readonly engine: Engine;
  readonly config: LlavaConfig;
  readonly weights: Pick<Assembly, "projector" | "language">;
  readonly data: StageData;
  readonly features: FeatureStore;
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
  const { engine, config, weights, data, features } = options;
  const trains = (part: Part): boolean => data.stage.train.includes(part);
  const parts: Parts = {
    projector: await loadPart(engine, "projector", weights.projector, trains("projector")),
    language: await loadPart(engine, "language", weights.language, trains("language")),
  };
  if (options.resumeFrom) await restoreCheckpoint(engine, parts, options.resumeFrom);
  const stepper = createStepper({ engine, config, parts, ...data.layout, features: features.load });
  try {
    return await makeSteps(options, parts, stepper);
  } finally {
    await stepper.release();
    parts.projector.release();
    parts.language.release();
  }
}

async function makeSteps(options: StageOptions, parts: Parts, stepper: Stepper): Promise<"finished" | "interrupted"> {
  const { data, emit, signal } = options;
  const { stage, plan } = data;
  const first = (options.resumeFrom?.step ?? 0) + 1;
  emit({ type: "stage", stage: stage.name, from: first, steps: plan.steps });
  for (let step = first; step <= plan.steps; step++) {
    if (signal?.aborted === true) {
      const path = await save(options, parts, step - 1, false);
      emit({ type: "interrupted", path });
      return "interrupted";
    }
    const metrics = await makeStep(options, stepper, step);
    await appendMetrics(options.metrics, metrics);
    emit({ type: "step", metrics });
    if (stage.checkpoint_every > 0 && step % stage.checkpoint_every === 0 && step < plan.steps) {
      emit({ type: "checkpoint", path: await save(options, parts, step, false) });
    }
  }
  emit({ type: "checkpoint", path: await save(options, parts, plan.steps, true) });
  return "finished";
}

async function makeStep({ config, data }: StageOptions, stepper: Stepper, step: number): Promise<StepMetrics> {
  const started = performance.now();
  const { stage, plan, samples, layout } = data;
  const batches = microBatches(
    [...plan.samplesOf(step)].map((i) => samples[i]!),
    layout,
    config.language,
  );
  const adamw = adamwAt(data, step);
  const { loss, gradNorm } = await stepper.accumulate(batches);
  await stepper.update(step, gradNorm, adamw);
  return {
    stage: stage.name,
    step,
    steps: plan.steps,
    loss,
    learning_rate: adamw.learningRates[stage.train[0]!] ?? 0,
    learning_rates: adamw.learningRates,
    grad_norm: gradNorm,
    tokens: batches.reduce((sum, batch) => sum + batch.tokens, 0),
    supervised_tokens: batches.reduce((sum, batch) => sum + batch.targetIds.length, 0),
    seconds: (performance.now() - started) / 1000,
  };
}

function adamwAt({ stage, plan }: StageData, step: number): AdamW {
  const factor = learningRateFactor(stage.schedule, step, plan.steps, stage.warmup);
  const rates = Object.entries(stage.learning_rate).map(([part, rate]) => [part, rate * factor]);
  return {
    learningRates: Object.fromEntries(rates) as AdamW["learningRates"],
    betas: stage.betas,
    epsilon: stage.epsilon,
    weightDecay: stage.weight_decay,
    maxGradNorm: stage.max_grad_norm,
  };
}

async function save(
  { engine, data, fingerprint, folder }: StageOptions,
  parts: Parts,
  step: number,
  finished: boolean,
): Promise<string> {
  const state = { stage: data.stage.name, step, finished, fingerprint };
  await writeCheckpoint(engine, parts, state, folder);
  return join(folder, checkpointName(state));
}
