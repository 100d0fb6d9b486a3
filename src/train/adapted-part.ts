// A part whose own weights stay as they are: plain or in 4-bit blocks (QLoRA, arXiv 2305.14314), with an adapter that learns.
import { random } from "../data/random.ts";
import type { Blocks } from "../formats/q4.ts";
import { type Shape, sizeOf } from "../graph/tensor.ts";
import { type AdaptedPart, type Lora, loraParts, loraShapes } from "../models/lora.ts";
import { blocksOf, inBlocks } from "../models/quantise.ts";
import { memoryWeights, type PartWeights } from "../models/weights.ts";
import type { Engine, EngineBuffer, Pass } from "../runtime/engine.ts";
import type { Optimiser } from "./optimisers/optimiser.ts";
import { loadPart, type PartParameters, type TrainOptions } from "./parameters.ts";
import type { Part, StageRecipe } from "./recipe.ts";

export interface AdaptedOptions {
  /** what learns beside the weights; absent: nothing does */
  readonly adapter?: { readonly lora: Lora; readonly weights: PartWeights };
  /** keep matrices as 4-bit blocks */
  readonly blocks: boolean;
  /** AdamW unless told */
  readonly optimiser?: Optimiser;
}

/** Loads a part that stays as it is, weight by weight; only an adapter has gradients and moments. */
export async function loadAdapted(
  engine: Engine,
  name: string,
  weights: PartWeights,
  { adapter, blocks, optimiser }: AdaptedOptions,
): Promise<PartParameters> {
  const base = blocks ? await loadBlocks(engine, weights) : await loadPart(engine, name, weights, false);
  if (adapter === undefined) return base;
  const learned = await loadPart(engine, `${name} adapter`, adapter.weights, true, optimiser && { optimiser });
  return {
    ...base,
    form: { ...base.form, trains: "adapter", lora: adapter.lora },
    shapes: new Map([...base.shapes, ...learned.shapes]),
    parameter: (key) => (learned.shapes.has(key) ? learned : base).parameter(key),
    ...(learned.trained && { trained: learned.trained }),
    release: () => {
      learned.release();
      base.release();
    },
  };
}

interface BlockBuffers {
  readonly codes: EngineBuffer<"uint8">;
  readonly scales: EngineBuffer<"float16">;
  readonly minima?: EngineBuffer<"float16">;
}

/** Matrices in blocks; their values are made anew in front of each run, in memory that all layers share. */
async function loadBlocks(engine: Engine, weights: PartWeights): Promise<PartParameters> {
  const blocks = new Map<string, BlockBuffers>();
  const floats = new Map<string, EngineBuffer<"float32">>();
  for (const [key, shape] of weights.shapes) {
    const pass = engine.pass();
    if (inBlocks(key, shape)) {
      blocks.set(key, writeBlocks(engine, pass, await blocksOf(weights, key)));
      if (!floats.has(shared(key))) floats.set(shared(key), engine.allocate("float32", shape));
    } else {
      floats.set(key, engine.allocate("float32", shape));
      pass.write(floats.get(key)!, (await weights.load(key)) as Float32Array<ArrayBuffer>);
    }
    await pass.submit();
  }
  return {
    form: { trains: "nothing" },
    shapes: weights.shapes,
    parameter: (key) => floats.get(key) ?? floats.get(shared(key))!,
    prepare: (pass, key) => {
      const from = blocks.get(key);
      if (from) pass.call({ kernel: "dequantise", ...from, into: floats.get(shared(key))! });
    },
    release: () => {
      for (const of of blocks.values()) for (const buffer of Object.values(of)) engine.free(buffer as EngineBuffer);
      floats.forEach((buffer) => engine.free(buffer));
    },
  };
}

function writeBlocks(engine: Engine, pass: Pass, { codes, scales, minima }: Blocks): BlockBuffers {
  const halves = (data: Uint16Array): EngineBuffer<"float16"> => {
    const buffer = engine.allocate("float16", [data.length]);
    pass.write(buffer, data);
    return buffer;
  };
  const bytes = engine.allocate("uint8", [codes.length]);
  pass.write(bytes, codes);
  return { codes: bytes, scales: halves(scales), ...(minima && { minima: halves(minima) }) };
}

/** The name of the memory that holds a weight's values for the layer at work. */
const shared = (key: string): string => key.replace(/^model\.layers\.\d+\./, "one layer's ");

/** A new adapter, which changes nothing yet: A as PyTorch's nn.Linear starts, uniform in ±1/√in, B zero (PEFT's default). */
export function freshAdapter(shapes: ReadonlyMap<string, Shape>, lora: Lora, seed: number): PartWeights {
  const fill = (name: string, shape: Shape): Float32Array => {
    if (name.endsWith("lora_B.weight")) return new Float32Array(sizeOf(shape));
    const draw = random(seed, "adapter", name);
    const bound = 1 / Math.sqrt(shape[1]!);
    return Float32Array.from({ length: sizeOf(shape) }, () => (2 * draw.float() - 1) * bound);
  };
  return memoryWeights(
    new Map([...loraShapes(shapes, lora)].map(([name, shape]) => [name, { shape, data: fill(name, shape) }])),
  );
}

/** A part as a stage has it: trained, with an adapter that trains, or frozen; its weights plain or in blocks. */
export function loadStagePart(
  engine: Engine,
  part: AdaptedPart,
  weights: PartWeights,
  stage: Pick<StageRecipe, "train" | "lora" | "quantize" | "seed">,
  options: TrainOptions,
): Promise<PartParameters> {
  const lora = adapterOf(part, stage);
  if (stage.train.includes(part) && lora === undefined) return loadPart(engine, part, weights, true, options);
  const blocks = part === "language" && stage.quantize === "4bit";
  if (lora === undefined) return loadAdapted(engine, part, weights, { blocks });
  const adapter = { lora, weights: freshAdapter(weights.shapes, lora, stage.seed) };
  const { optimiser } = options;
  return loadAdapted(engine, part, weights, { blocks, adapter, ...(optimiser && { optimiser }) });
}

/** The adapter that a stage trains in a part. */
export function adapterOf(part: Part, { train, lora }: Pick<StageRecipe, "train" | "lora">): Lora | undefined {
  return lora !== undefined && train.includes(part) && loraParts(lora).some((one) => one === part) ? lora : undefined;
}
