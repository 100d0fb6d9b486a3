// How long a stage will take: one of its steps, made with a shallow and a deeper small model, scaled to the whole.
import { languageShapes } from "../models/llama.ts";
import type { LlavaConfig } from "../models/config.ts";
import { tokensPerPicture } from "../models/config.ts";
import { featureWidth, projectorShapes } from "../models/projector.ts";
import type { Shape } from "../graph/tensor.ts";
import { sizeOf } from "../graph/tensor.ts";
import type { PartWeights } from "../models/weights.ts";
import type { Engine } from "../runtime/engine.ts";
import { loadStagePart } from "./adapted-part.ts";
import { microBatches } from "./batches.ts";
import type { MicroBatch } from "./micro-batch.ts";
import { optimisers } from "./optimisers/registry.ts";
import type { StageData } from "./stage-data.ts";
import { costOf, type StepWork } from "./stage-work.ts";
import { createStepper } from "./step.ts";

/** Steps of each small model that are timed, after one that compiles programs and touches memory first. */
const timed = 3;
/** Layers of the deeper model: two more than the shallow one, so that what a layer costs stands out from the noise. */
const deeper = 3;

/**
 * Seconds of all steps together. Time depends on sizes, not on values, so weights of zero do; a stage that trains its
 * tower is timed without it.
 */
export async function predictSeconds(
  engine: Engine,
  config: LlavaConfig,
  data: StageData,
  work: readonly StepWork[],
): Promise<number> {
  const mean = work.reduce((sum, step) => sum + costOf(step), 0) / work.length;
  const distance = (step: StepWork): number => Math.abs(costOf(step) - mean);
  const typical = work.reduce((best, step) => (distance(step) < distance(best) ? step : best));
  const samples = [...data.plan.samplesOf(typical.step)].map((i) => data.samples[i]!);
  const batches = microBatches(samples, data.layout, config.language);
  const { layers } = config.language;
  const depth = Math.min(layers, deeper);
  const shallow = await secondsOf(engine, config, data, batches, 1);
  const deep = depth > 1 ? await secondsOf(engine, config, data, batches, depth) : shallow;
  const step = shallow + (layers - 1) * (Math.max(0, deep - shallow) / Math.max(1, depth - 1));
  return (data.plan.steps * step * mean) / costOf(typical);
}

async function secondsOf(
  engine: Engine,
  { language, ...rest }: LlavaConfig,
  { stage, layout }: StageData,
  batches: readonly MicroBatch[],
  layers: number,
): Promise<number> {
  const config: LlavaConfig = { ...rest, language: { ...language, layers } };
  const optimiser = optimisers[stage.optimizer].create(engine);
  const small = { ...stage, train: stage.train.filter((part) => part !== "vision") };
  const parts = {
    projector: await loadStagePart(engine, "projector", zeroWeights(projectorShapes(config)), small, { optimiser }),
    language: await loadStagePart(engine, "language", zeroWeights(languageShapes(config.language)), small, {
      optimiser,
    }),
  };
  const features = (images: readonly string[]) =>
    Promise.resolve(new Float32Array(images.length * tokensPerPicture(config) * featureWidth(config)));
  const stepper = createStepper({ engine, config, parts, length: layout.length, tokens: layout.tokens, features });
  try {
    let least = Infinity;
    for (let step = 1; step <= 1 + timed; step++) {
      const started = performance.now();
      const { gradNorm } = await stepper.accumulate(batches);
      const learningRates = Object.fromEntries(small.train.map((part) => [part, 0]));
      const { betas, epsilon } = stage;
      await stepper.update(step, gradNorm, { learningRates, betas, epsilon, weightDecay: 0, maxGradNorm: 1 });
      if (step > 1) least = Math.min(least, (performance.now() - started) / 1000);
    }
    return least;
  } finally {
    await stepper.release();
    await optimiser.release?.();
    parts.projector.release();
    parts.language.release();
  }
}

const zeroWeights = (shapes: ReadonlyMap<string, Shape>): PartWeights => ({
  shapes,
  load: (name) => Promise.resolve(new Float32Array(sizeOf(shapes.get(name)!))),
});
