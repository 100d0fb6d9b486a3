// Random samples for a tiny model, and what one optimiser step makes of them.
import { tinyModel, type TinyModel } from "../../test/tiny-model.ts";
import type { EncodedSample } from "../data/encode.ts";
import { random } from "../data/random.ts";
import { type LlavaConfig, tokensPerPicture } from "../models/config.ts";
import { featureWidth } from "../models/projector.ts";
import { neededWeights } from "../models/vision.ts";
import { someWeights } from "../models/weights.ts";
import { createDirectEngine } from "../runtime/direct-node.ts";
import { download, type Engine } from "../runtime/engine.ts";
import { keepAll, type MemoryPlan, sharedRoom } from "./memory-plan.ts";
import type { MicroBatch } from "./micro-batch.ts";
import { type OptimiserName, optimisers } from "./optimisers/registry.ts";
import { loadPart, type PartParameters } from "./parameters.ts";
import { createStepper, type Stepper } from "./step.ts";
import type { Parts, TrainedPart } from "./step-context.ts";

export interface SampleShape {
  readonly length: number;
  readonly pictures?: number;
}

/** Random ids and labels; its pictures stand one after the other behind the first token. */
export function randomSample(config: LlavaConfig, key: number, { length, pictures = 0 }: SampleShape): EncodedSample {
  const draw = random("sample", key);
  const perPicture = tokensPerPicture(config);
  const ids = Int32Array.from({ length }, () => draw.int(config.imageTokenId));
  const labels = ids.map((id, t) => (t > pictures * perPicture && draw.chance(0.6) ? id : -100));
  labels[length - 1] = ids[length - 1]!;
  const imageRuns = Array.from({ length: pictures }, (_, image) => ({
    start: 1 + image * perPicture,
    length: perPicture,
    image,
  }));
  for (const { start } of imageRuns) ids.fill(config.imageTokenId, start, start + perPicture);
  return { id: String(key), images: imageRuns.map((_, i) => `${key}-${i}`), ids, labels, imageRuns };
}

/** Samples about the same pictures, which stand behind the same token in each. */
export function siblings(config: LlavaConfig, key: number, shapes: readonly SampleShape[]): EncodedSample[] {
  const first = randomSample(config, key, shapes[0]!);
  const shared = first.ids.subarray(0, 1 + first.images.length * tokensPerPicture(config));
  return shapes.map((shape, i) => {
    const one = randomSample(config, 1000 * (key + 1) + i, { ...shape, pictures: first.images.length });
    one.ids.set(shared);
    return { ...one, images: first.images };
  });
}

/** Features, or pixels for a tower that learns, that are a pure function of the picture's name. */
function featuresOf(config: LlavaConfig, images: readonly string[], live: boolean): Float32Array<ArrayBuffer> {
  const one = live ? 3 * config.vision.imageSize ** 2 : tokensPerPicture(config) * featureWidth(config);
  const all = new Float32Array(images.length * one);
  images.forEach((image, i) => {
    const draw = random("features", image);
    for (let at = 0; at < one; at++) all[i * one + at] = 2 * draw.float() - 1;
  });
  return all;
}

export interface Bench {
  readonly engine: Engine;
  readonly parts: Parts;
  readonly stepper: Stepper;
  /** parameters or gradients of everything that is trained, or of everything */
  read(what: "gradient" | "parameter"): Promise<Map<string, Float32Array>>;
}

export interface BenchOptions {
  readonly model?: TinyModel;
  readonly trained?: readonly TrainedPart[];
  readonly length?: number;
  readonly tokens?: number;
  readonly optimizer?: OptimiserName;
  /** loads the parts otherwise than by `trained` */
  readonly load?: (engine: Engine, model: TinyModel) => Promise<Parts>;
  readonly memory?: MemoryPlan;
}

/** Runs `work` with a stepper of its own on an engine in this thread. */
export async function onBench<T>(options: BenchOptions, work: (bench: Bench) => Promise<T>): Promise<T> {
  const { model = tinyModel(), trained = ["projector", "language"], length = 64, tokens = 512 } = options;
  const { memory = keepAll } = options;
  const engine = await createDirectEngine({ threads: 1 });
  try {
    const optimiser = optimisers[options.optimizer ?? "adamw"].create(engine);
    const live = trained.includes("vision");
    const seeing = someWeights(model.vision, neededWeights(model.config.vision, model.config.features));
    const parts: Parts = (await options.load?.(engine, model)) ?? {
      ...(live ? { vision: await loadPart(engine, "vision", seeing, true, { optimiser }) } : {}),
      projector: await loadPart(engine, "projector", model.projector, trained.includes("projector"), { optimiser }),
      language: await loadPart(engine, "language", model.language, trained.includes("language"), {
        optimiser,
        ...(memory.shared && {
          shared: sharedRoom(model.config.language, { tokens, length }, memory.activations),
        }),
      }),
    };
    const features = (images: readonly string[]) => Promise.resolve(featuresOf(model.config, images, live));
    const stepper = createStepper({ engine, config: model.config, parts, length, tokens, features, memory });
    const read: Bench["read"] = async (what) => {
      const values = new Map<string, Float32Array>();
      for (const [name, part] of Object.entries(parts) as [string, PartParameters][]) {
        const shapes = what === "gradient" ? part.trained?.shapes : part.shapes;
        for (const key of shapes?.keys() ?? []) {
          const buffer = what === "gradient" ? part.trained!.state(key).gradient : part.parameter(key);
          values.set(`${name} ${key}`, (await download(engine, buffer)).data);
        }
      }
      return values;
    };
    const result = await work({ engine, parts, stepper, read });
    await stepper.release();
    return result;
  } finally {
    await engine.close();
  }
}

export interface Outcome {
  readonly loss: number;
  readonly gradNorm: number;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/** Loss and gradients of micro-batches, on a bench of their own. */
export function outcomeOf(batches: readonly MicroBatch[], options: BenchOptions = {}): Promise<Outcome> {
  return onBench(options, async ({ stepper, read }) => {
    const { loss, gradNorm } = await stepper.accumulate(batches);
    return { loss, gradNorm, gradients: await read("gradient") };
  });
}

const largest = (values: Float32Array = new Float32Array()): number =>
  values.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-30);

/**
 * The largest difference of losses and gradients, each relative to its own largest value; a bias at least to a hundredth
 * of its weight's, for the gradient of a tower's key bias is zero but for rounding.
 */
export function outcomeDifference(a: Outcome, b: Outcome): number {
  let most = Math.abs(a.loss - b.loss) / Math.abs(b.loss);
  for (const [name, expected] of b.gradients) {
    const weight = b.gradients.get(name.replace(/bias$/, "weight"));
    const scale = Math.max(largest(expected), 0.01 * largest(weight));
    const got = a.gradients.get(name)!;
    expected.forEach((x, i) => (most = Math.max(most, Math.abs(got[i]! - x) / scale)));
  }
  return most;
}
