// One optimiser step: micro-batches forward and backward, gradients summed, clipped, and the optimiser's update.
import { BugError } from "../errors.ts";
import { layerShapes } from "../models/llama.ts";
import { weightNames } from "../models/lora-inputs.ts";
import { backwardEmbedding, backwardLayers } from "./backward-pass.ts";
import { embed, forwardLayers } from "./forward-pass.ts";
import { headChunks, mostHeadRows, runHead } from "./head-pass.ts";
import { keepAll, savedBy } from "./memory-plan.ts";
import type { MicroBatch } from "./micro-batch.ts";
import type { PartParameters } from "./parameters.ts";
import { stagePrograms } from "./programs.ts";
import type { StepContext, StepperOptions } from "./step-context.ts";
import { towerRoom } from "./tower-space.ts";
import { gradientNorm, type StepOptions, update } from "./update.ts";
import { headSpace, pictureSpace, rowSpace, scope } from "./workspace.ts";

export interface Stepper {
  /**
   * Loss and gradients of one optimiser step's micro-batches: the mean over all their trained tokens. Parameters stay
   * as they are. Throws the signal's reason between two micro-batches when it is raised.
   */
  accumulate(batches: readonly MicroBatch[], signal?: AbortSignal): Promise<{ loss: number; gradNorm: number }>;
  /** Applies the gradients of the last `accumulate`; `step` counts from 1. */
  update(step: number, gradNorm: number, options: StepOptions): Promise<void>;
  /** Mean loss alone, nothing kept. */
  evaluate(batches: readonly MicroBatch[]): Promise<number>;
  release(): Promise<void>;
}

/** Allocates a stage's buffers; programs are compiled as their shapes are first met. */
export function createStepper(options: StepperOptions): Stepper {
  const { engine, config, parts, length, tokens, memory = keepAll } = options;
  const region = parts.language.trained?.shared;
  const saved = savedBy[memory.activations];
  const buffers = scope(engine);
  const backward = Object.values(parts).some((part: PartParameters) => part.trained !== undefined);
  const tower = parts.vision === undefined ? undefined : towerRoom(engine, config);
  const context: StepContext = {
    ...options,
    programs: stagePrograms(engine, config, { projector: parts.projector.form, language: parts.language.form }, saved),
    space: rowSpace(buffers.allocate, config, { most: { tokens, length }, saved, backward, ...(region && { region }) }),
    head: headSpace(buffers.allocate, config, mostHeadRows),
    pictures: pictureSpace(engine, config),
    ...(tower === undefined ? {} : { tower }),
    norm: buffers.allocate("float32", [1]),
    layerNames: weightNames(new Map(Object.entries(layerShapes(config.language))), parts.language.form.lora),
    summed: new Set(),
  };
  return {
    accumulate: async (batches, signal) => {
      if (region !== undefined && batches.length > 1) {
        // the second forward pass would write over the first's gradients
        throw new BugError("STEP_SHARED", { expected: "one micro-batch a step", got: String(batches.length) });
      }
      context.summed.clear();
      const trainedTokens = batches.reduce((sum, batch) => sum + batch.targetIds.length, 0);
      let loss = 0;
      for (const batch of batches) {
        signal?.throwIfAborted();
        loss += await runMicroBatch(context, batch, 1 / trainedTokens, true);
      }
      return { loss, gradNorm: await gradientNorm(context) };
    },
    update: (step, gradNorm, stepOptions) => update(context, step, gradNorm, stepOptions),
    evaluate: async (batches) => {
      const tokens = batches.reduce((sum, batch) => sum + batch.targetIds.length, 0);
      let loss = 0;
      for (const batch of batches) loss += await runMicroBatch(context, batch, 1 / tokens, false);
      return loss;
    },
    release: async () => {
      await context.programs.release();
      tower?.release();
      buffers.release();
    },
  };
}

/** Forward, and backward when `learn`; returns this micro-batch's share of the loss. */
async function runMicroBatch(context: StepContext, batch: MicroBatch, weight: number, learn: boolean): Promise<number> {
  if (batch.targetIds.length === 0) {
    // the head would be left out, and its gradients with those of the step before
    throw new BugError("STEP_NO_TARGETS", { expected: "a micro-batch with a token to learn", got: "none" });
  }
  const space = context.space(batch);
  const pass = context.engine.pass();
  await embed(context, pass, batch, space);
  await forwardLayers(context, pass, batch, space);
  const chunks = headChunks(batch, weight);
  const finish = await runHead(context, pass, space, chunks, learn);
  if (learn) {
    await backwardLayers(context, pass, batch, space);
    await backwardEmbedding(context, pass, batch, space);
  }
  const results = await pass.submit();
  return finish(results);
}
