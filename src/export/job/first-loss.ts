// The loss that PyTorch must agree with: each stage's first batch by our engine, before anything is trained.
import { createPictureEncoder, type PictureEncoder } from "../../models/encode-pictures.ts";
import type { Engine } from "../../runtime/engine.ts";
import type { Assembly } from "../../train/assemble.ts";
import { microBatches, roomFor } from "../../train/batches.ts";
import { loadPart } from "../../train/parameters.ts";
import { livePixels } from "../../train/pixels.ts";
import type { StageData } from "../../train/stage-data.ts";
import { createStepper } from "../../train/step.ts";
import type { Features } from "../../train/step-context.ts";

/** Pictures that go through the tower together. */
const TOGETHER = 4;

/** For each stage the mean loss over the trained tokens of its first step's samples, in float32 throughout. */
export async function firstLosses(engine: Engine, assembly: Assembly, stages: readonly StageData[]): Promise<number[]> {
  const { config, projector, language } = assembly;
  const encoder = await createPictureEncoder(engine, config, assembly.vision, TOGETHER);
  const parts = {
    projector: await loadPart(engine, "projector", projector, false),
    language: await loadPart(engine, "language", language, false),
  };
  try {
    const losses: number[] = [];
    for (const data of stages) {
      const features = featuresBy(encoder, assembly, data);
      const stepper = createStepper({ engine, config, parts, ...roomFor([data.layout]), features });
      const samples = [...data.plan.samplesOf(1)].map((i) => data.samples[i]!);
      losses.push(await stepper.evaluate(microBatches(samples, data.layout, config.language)));
      await stepper.release();
    }
    return losses;
  } finally {
    for (const part of Object.values(parts)) part.release();
    await encoder.release();
  }
}

/** Features without the cache's rounding to float16. */
function featuresBy(encoder: PictureEncoder, { preprocessor }: Assembly, { pictures }: StageData): Features {
  const load = livePixels(preprocessor, pictures);
  return async (names) => {
    const pixels = await load(names);
    const one = pixels.length / names.length;
    const encoded = await encoder.encode(names.map((_, i) => pixels.subarray(i * one, (i + 1) * one)));
    const all = new Float32Array(encoded.reduce((sum, { length }) => sum + length, 0));
    encoded.forEach((features, i) => all.set(features, i * features.length));
    return all;
  };
}
