// Parity of the training path itself: its loss, its gradients, and losses over AdamW steps on the golden's batch.
import { createPictureEncoder } from "../models/encode-pictures.ts";
import { checkpointName } from "../models/names.ts";
import type { LlavaFiles } from "../models/node.ts";
import { neededWeights } from "../models/vision.ts";
import { someWeights } from "../models/weights.ts";
import { download, type Engine } from "../runtime/engine.ts";
import { microBatch } from "./micro-batch.ts";
import {
  compareGradients,
  compareStage,
  type Comparison,
  largestDifference,
  type StageName,
} from "./parity-compare.ts";
import type { Golden } from "./parity-golden.ts";
import { loadPart, type PartParameters } from "./parameters.ts";
import { createStepper, type Stepper } from "./step.ts";
import type { Features, Parts, TrainedPart } from "./step-context.ts";

type Stages = Partial<Record<StageName, Comparison>>;

/** What the golden's curves were made with (goldens: betas .9/.999, eps 1e-8, no decay, no clipping). */
const adamw = { betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 0, maxGradNorm: 0 } as const;
const everything = ["vision", "projector", "language"] as const;
const align = { trained: ["projector"], learningRate: 1e-2 } as const;
const instruct = { trained: ["projector", "language"], learningRate: 1e-3 } as const;

/** One pass with everything trained, the tower too, then a curve for each that the golden has. */
export async function trainingParity(engine: Engine, files: LlavaFiles, golden: Golden): Promise<Stages> {
  const features = await encodeOnce(engine, files, golden);
  const batch = microBatch(golden.rows, files.config.language);
  const stages: Stages = {};
  const live: Features = (images) => Promise.resolve(joined(images.map((image) => golden.pictures[Number(image)]!)));
  await withStepper(engine, files, golden, live, everything, async (stepper, parts) => {
    const { loss } = await stepper.accumulate([batch]);
    const expected = await golden.output("loss");
    stages.training_loss = compareStage("training_loss", largestDifference([loss], expected, "loss", golden.where));
    stages.training_gradients = await trainingGradients(engine, files, golden, parts);
  });
  for (const [name, stage] of Object.entries({ align, instruct })) {
    const curve = golden.curves[name as keyof Golden["curves"]];
    if (curve === undefined) continue;
    const key = `curve_${name as "align" | "instruct"}` as const;
    await withStepper(engine, files, golden, features, stage.trained, async (stepper) => {
      const losses: number[] = [];
      const learningRates = { projector: stage.learningRate, language: stage.learningRate };
      for (let step = 1; step <= curve.length; step++) {
        const { loss, gradNorm } = await stepper.accumulate([batch]);
        losses.push(loss);
        await stepper.update(step, gradNorm, { ...adamw, learningRates });
      }
      stages[key] = compareStage(key, largestDifference(losses, curve, `curves.${name}`, golden.where));
    });
  }
  return stages;
}

/** Features as training computes and keeps them. */
async function encodeOnce(engine: Engine, { config, vision }: LlavaFiles, { pictures }: Golden): Promise<Features> {
  const encoder = await createPictureEncoder(engine, config, vision, Math.max(1, pictures.length));
  const encoded = await encoder.encode(pictures);
  await encoder.release();
  return (images) => Promise.resolve(joined(images.map((image) => encoded[Number(image)]!)));
}

function joined(pictures: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const all = new Float32Array(pictures.reduce((sum, { length }) => sum + length, 0));
  pictures.forEach((one, i) => all.set(one, i * one.length));
  return all;
}

async function withStepper(
  engine: Engine,
  { config, vision, projector, language }: LlavaFiles,
  { rows }: Golden,
  features: Features,
  trained: readonly TrainedPart[],
  work: (stepper: Stepper, parts: Parts) => Promise<void>,
): Promise<void> {
  const seeing = someWeights(vision, neededWeights(config.vision, config.features));
  const parts: Parts = {
    ...(trained.includes("vision") ? { vision: await loadPart(engine, "vision", seeing, true) } : {}),
    projector: await loadPart(engine, "projector", projector, trained.includes("projector")),
    language: await loadPart(engine, "language", language, trained.includes("language")),
  };
  const length = rows[0]!.ids.length;
  const stepper = createStepper({ engine, config, parts, length, tokens: rows.length * length, features });
  try {
    await work(stepper, parts);
  } finally {
    await stepper.release();
    for (const part of Object.values(parts) as PartParameters[]) part.release();
  }
}

function trainingGradients(engine: Engine, { config }: LlavaFiles, golden: Golden, parts: Parts): Promise<Comparison> {
  const places = new Map(
    everything.flatMap((part) =>
      [...parts[part]!.shapes.keys()].map((name) => [
        checkpointName(part, name, config.vision.family),
        parts[part]!.trained!.state(name).gradient,
      ]),
    ),
  );
  return compareGradients("training_gradients", golden, places.keys(), async (name) => {
    const { data } = await download(engine, places.get(name)!);
    return data;
  });
}
