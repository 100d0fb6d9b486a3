// Trains the tiny vision tower on the pretext task with this project's own engine.
import { random } from "../../data/random.ts";
import type { Shape } from "../../graph/tensor.ts";
import type { Preprocessor } from "../../image/preprocessor.ts";
import type { VisionConfig } from "../../models/config.ts";
import { visionShapes } from "../../models/vision.ts";
import { memoryWeights, type PartWeights } from "../../models/weights.ts";
import { download, type Engine, type EngineBuffer, type Program } from "../../runtime/engine.ts";
import { loadPart, type PartParameters } from "../../train/parameters.ts";
import { learningRateFactor } from "../../train/schedule.ts";
import { drawExample, type Example, pretextBatch, pretextGraph, pretextShapes } from "./pretext.ts";
import { startingWeights } from "./start.ts";

export interface TowerOptions {
  readonly engine: Engine;
  readonly config: VisionConfig;
  readonly preprocessor: Preprocessor;
  readonly seed: number;
  /** crowded pictures to draw; each is seen steps · 64 / pictures times */
  readonly pictures: number;
  readonly steps: number;
  readonly onStep?: (step: number, loss: number) => void;
}

const batch = 64;
const peakRate = 3e-3;
const warmup = 0.1;

interface Space {
  readonly pixels: EngineBuffer<"float32">;
  readonly targets: EngineBuffer<"float32">;
  readonly loss: EngineBuffer<"float32">;
  readonly norm: EngineBuffer<"float32">;
}

interface Training extends TowerOptions {
  readonly part: PartParameters;
  readonly program: Program;
  readonly space: Space;
}

/** The weights of a tower trained on crowded scenes; the head that it was trained with is left behind. */
export async function trainTower(options: TowerOptions): Promise<PartWeights> {
  const { engine, config, preprocessor, pictures, steps, seed, onStep } = options;
  const examples: Example[] = [];
  for (let i = 0; i < pictures; i++) examples.push(await drawExample(seed, i, config, preprocessor));
  const part = await loadPart(
    engine,
    "tower",
    startingWeights(pretextShapes(config), deviation, "tower start", seed),
    true,
  );
  const program = await engine.load(pretextGraph(config, batch));
  const training: Training = { ...options, part, program, space: allocateSpace(engine, program) };
  for (let step = 1; step <= steps; step++) onStep?.(step, await makeStep(training, examples, step));
  const trained = await trainedWeights(training);
  await engine.unload(program);
  for (const buffer of Object.values(training.space)) engine.free(buffer);
  part.release();
  return trained;
}

function allocateSpace(engine: Engine, { inputs }: Program): Space {
  const floats = (shape: Shape): EngineBuffer<"float32"> => engine.allocate("float32", shape);
  return {
    pixels: floats(inputs["pixels"]!.shape),
    targets: floats(inputs["targets"]!.shape),
    loss: floats([1, 1]),
    norm: floats([1]),
  };
}

/** Forward, backward and AdamW on one batch; returns the loss. */
async function makeStep(training: Training, examples: readonly Example[], step: number): Promise<number> {
  const { engine, config, preprocessor, part, program, space, seed, steps } = training;
  const stream = random("tower batch", seed, step);
  const chosen = Array.from({ length: batch }, () => stream.pick(examples));
  const { pixels, targets } = pretextBatch(chosen, config, preprocessor, stream);
  const names = [...part.shapes.keys()];
  const weights = Object.fromEntries(names.map((name) => [name, part.parameter(name)]));
  const grads = Object.fromEntries(names.map((name) => [`grad.${name}`, part.trained!.state(name).gradient]));
  const result = await engine
    .pass()
    .write(space.pixels, pixels)
    .write(space.targets, targets)
    .run(program, { pixels: space.pixels, targets: space.targets, ...weights }, { loss: space.loss, ...grads })
    .call({ kernel: "sumSquares", of: [...part.trained!.gradients], into: space.norm })
    .read("loss", space.loss)
    .read("norm", space.norm)
    .submit();
  const norm = Math.sqrt(Number(result["norm"]!.data[0]));
  const pass = engine.pass();
  for (const [name, shape] of part.shapes) {
    await part.trained!.optimiser.update(pass, part.trained!.state(name), {
      step,
      learningRate: peakRate * learningRateFactor("cosine", step, steps, warmup),
      betas: [0.9, 0.98],
      epsilon: 1e-8,
      weightDecay: shape.length > 1 ? 0.05 : 0,
      scale: Math.min(1, 1 / (norm + 1e-6)),
    });
  }
  await pass.submit();
  return Number(result["loss"]!.data[0]);
}

async function trainedWeights({ engine, config, part, seed }: Training): Promise<PartWeights> {
  const tensors = new Map<string, { shape: Shape; data: Float32Array }>();
  const fresh = startingWeights(visionShapes(config), deviation, "tower start", seed);
  for (const [name, shape] of visionShapes(config)) {
    // the final norm stands behind the features that LLaVA reads: it stays as it began
    const data = part.shapes.has(name) ? (await download(engine, part.parameter(name))).data : await fresh.load(name);
    tensors.set(name, { shape, data });
  }
  return memoryWeights(tensors);
}

/** Places start apart from each other; what adds to the residual stream starts small. */
function deviation(name: string, inputs: number): number {
  if (name === "position" || name === "class") return 0.3;
  return (/\.(o|fc2)\.weight$/.test(name) ? 0.5 : 1) / Math.sqrt(inputs);
}
