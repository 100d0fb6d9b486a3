// One optimiser step: micro-batches forward and backward, gradients summed, clipped, and AdamW.
import { RunError } from "../errors.ts";
import type { LlavaConfig } from "../models/config.ts";
import { embeddingName, finalNormName, headName, layerPrefix, layerShapes } from "../models/llama.ts";
import type { Engine, EngineBuffer, Pass } from "../runtime/engine.ts";
import type { RowShape } from "./decoder.ts";
import type { MicroBatch } from "./micro-batch.ts";
import type { PartParameters } from "./parameters.ts";
import { type Programs, stagePrograms } from "./programs.ts";
import {
  type HeadSpace,
  headSpace,
  type PictureSpace,
  pictureSpace,
  rowSpace,
  scope,
  type Workspace,
} from "./workspace.ts";

export type TrainedPart = "projector" | "language";
export type Parts = Readonly<Record<TrainedPart, PartParameters>>;

/** Features of pictures, one behind the other: [pictures · tokens, S]. */
export type Features = (images: readonly string[]) => Promise<Float32Array<ArrayBuffer>>;

export interface AdamW {
  readonly learningRates: Readonly<Partial<Record<TrainedPart, number>>>;
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly weightDecay: number;
  /** 0: no clipping */
  readonly maxGradNorm: number;
}

export interface Stepper {
  /** Loss and gradients of one optimiser step's micro-batches: the mean over all their trained tokens. */
  accumulate(batches: readonly MicroBatch[]): Promise<{ loss: number; gradNorm: number }>;
  /** Applies the gradients of the last `accumulate`; `step` counts from 1. */
  update(step: number, gradNorm: number, adamw: AdamW): Promise<void>;
  /** Mean loss alone, nothing kept. */
  evaluate(batches: readonly MicroBatch[]): Promise<number>;
  release(): Promise<void>;
}

export interface StepperOptions {
  readonly engine: Engine;
  readonly config: LlavaConfig;
  readonly parts: Parts;
  /** tokens of the longest row */
  readonly length: number;
  /** tokens of the largest micro-batch */
  readonly tokens: number;
  readonly features: Features;
}

/** Trained rows that go through the head at once; their logits are [M, V] float32. */
const mostHeadRows = 512;
const headRowStep = 64;

interface Stage extends StepperOptions {
  readonly programs: Programs;
  readonly space: (shape: RowShape) => Workspace;
  readonly head: (rows: number) => HeadSpace;
  readonly pictures: (pictures: number) => PictureSpace;
  readonly norm: EngineBuffer<"float32">;
  readonly layerNames: readonly string[];
  /** which gradients hold a sum of this step already */
  readonly summed: Set<string>;
}

/** Allocates a stage's buffers; programs are compiled as their shapes are first met. */
export function createStepper(options: StepperOptions): Stepper {
  const { engine, config, parts, length, tokens } = options;
  const buffers = scope(engine);
  const backward = parts.language.trained !== undefined || parts.projector.trained !== undefined;
  const stage: Stage = {
    ...options,
    programs: stagePrograms(engine, config),
    space: rowSpace(buffers.allocate, config, { tokens, length }, backward),
    head: headSpace(buffers.allocate, config, mostHeadRows),
    pictures: pictureSpace(engine, config),
    norm: buffers.allocate("float32", [1]),
    layerNames: Object.keys(layerShapes(config.language)),
    summed: new Set(),
  };
  return {
    accumulate: async (batches) => {
      stage.summed.clear();
      const trainedTokens = batches.reduce((sum, batch) => sum + batch.targetIds.length, 0);
      let loss = 0;
      for (const batch of batches) loss += await runMicroBatch(stage, batch, 1 / trainedTokens, true);
      return { loss, gradNorm: await gradientNorm(stage) };
    },
    update: (step, gradNorm, adamw) => update(stage, step, gradNorm, adamw),
    evaluate: async (batches) => {
      const tokens = batches.reduce((sum, batch) => sum + batch.targetIds.length, 0);
      let loss = 0;
      for (const batch of batches) loss += await runMicroBatch(stage, batch, 1 / tokens, false);
      return loss;
    },
    release: async () => {
      await stage.programs.release();
      buffers.release();
    },
  };
}

/** Forward, and backward when `learn`; returns this micro-batch's share of the loss. */
async function runMicroBatch(stage: Stage, batch: MicroBatch, weight: number, learn: boolean): Promise<number> {
  const space = stage.space(batch);
  const pass = stage.engine.pass();
  await embed(stage, pass, batch, space);
  await forwardLayers(stage, pass, batch, space);
  const chunks = headChunks(batch, weight);
  const finish = await runHead(stage, pass, space, chunks, learn);
  if (learn) {
    await backwardLayers(stage, pass, batch, space);
    await backwardEmbedding(stage, pass, batch, space);
  }
  const results = await pass.submit();
  return finish(results);
}

/** Token rows gathered from the embedding, picture rows from the projector. */
async function embed(stage: Stage, pass: Pass, batch: MicroBatch, space: Workspace): Promise<void> {
  const { engine: _, config, parts, programs } = stage;
  const x0 = space.x[0]!;
  pass
    .write(space.ids, batch.ids)
    .write(space.documents, batch.documents)
    .write(space.positions, batch.positions)
    .write(space.cos, batch.cos)
    .write(space.sin, batch.sin)
    .call({ kernel: "fill", buffer: x0, value: 0 })
    .call({ kernel: "gatherRows", table: parts.language.parameter(embeddingName), ids: space.ids, into: x0 })
    .run(
      await programs.mask(shapeOf(batch)),
      { documents: space.documents, positions: space.positions },
      { mask: space.mask },
    );
  if (batch.pictures.length === 0) return;
  const pictures = stage.pictures(batch.pictures.length);
  const features = await stage.features(batch.pictures.map((place) => place.image));
  const { forward } = programs.projector(pictures.features.shape[0]!);
  pass
    .write(pictures.features, features, { transfer: true })
    .run(
      await forward(),
      { features: pictures.features, ...projectorWeights(stage) },
      { projected: pictures.projected },
    );
  copyPictures(pass, batch, config.language.hiddenSize, (place, offset, width) => ({
    from: pictures.projected,
    into: x0,
    fromOffset: offset,
    intoOffset: place.start * width,
  }));
}

async function forwardLayers(stage: Stage, pass: Pass, batch: MicroBatch, space: Workspace): Promise<void> {
  const forward = await stage.programs.layer(shapeOf(batch)).forward();
  space.saved.forEach((saved, layer) => {
    const inputs = { x: space.x[layer]!, ...context(space), ...layerWeights(stage, layer) };
    pass.run(forward, inputs, { ...saved, y: space.x[layer + 1]! });
  });
}

interface HeadChunk {
  /** padded to a program's size with -1 */
  readonly targetRows: Int32Array<ArrayBuffer>;
  readonly targetIds: Int32Array<ArrayBuffer>;
  readonly count: number;
  readonly weight: number;
}

/** Trained rows in as few programs as memory allows, padded to a multiple of `headRowStep`. */
function headChunks(batch: MicroBatch, weight: number): HeadChunk[] {
  const chunks: HeadChunk[] = [];
  for (let start = 0; start < batch.targetRows.length; start += mostHeadRows) {
    const count = Math.min(mostHeadRows, batch.targetRows.length - start);
    const size = Math.ceil(count / headRowStep) * headRowStep;
    const padded = (ids: Int32Array): Int32Array<ArrayBuffer> => {
      const all = new Int32Array(size).fill(-1);
      all.set(ids.subarray(start, start + count));
      return all;
    };
    chunks.push({ targetRows: padded(batch.targetRows), targetIds: padded(batch.targetIds), count, weight });
  }
  return chunks;
}

/** Loss of the trained rows; with `learn`, the gradient of the last layer's output in `dx[0]` and the head's own gradients. */
async function runHead(
  stage: Stage,
  pass: Pass,
  space: Workspace,
  chunks: readonly HeadChunk[],
  learn: boolean,
): Promise<(results: Record<string, { data: unknown }>) => number> {
  const { config, parts, programs } = stage;
  const language = parts.language;
  const [last, dlast] = [space.x.at(-1)!, space.dx[0]];
  const [norm, output] = [language.parameter(finalNormName), language.parameter(headName(config.language))];
  if (learn) pass.call({ kernel: "fill", buffer: dlast, value: 0 });
  for (const [i, chunk] of chunks.entries()) {
    const head = stage.head(chunk.targetRows.length);
    const labels = chunk.targetIds.map((id) => Math.max(id, 0));
    const scale = Float32Array.from(chunk.targetIds, (id) => (id < 0 ? 0 : chunk.weight));
    pass
      .write(head.targetRows, chunk.targetRows)
      .write(head.targetIds, chunk.targetIds)
      .write(head.labels, labels)
      .write(head.scale, scale)
      .call({ kernel: "gatherRows", table: last, ids: head.targetRows, into: head.hidden });
    const inputs = { hidden: head.hidden, norm, output, labels: head.labels, ...(learn ? { scale: head.scale } : {}) };
    const graphs = programs.head(chunk.targetRows.length);
    if (!learn) pass.run(await graphs.evaluate(), inputs, { loss: head.loss });
    else if (!language.trained) pass.run(await graphs.through(), inputs, { loss: head.loss, dhidden: head.dhidden });
    else await learnHead(stage, pass, head, inputs);
    if (learn) pass.call({ kernel: "scatterAddRows", table: dlast, ids: head.targetRows, from: head.dhidden });
    pass.read(`loss ${i}`, head.loss);
  }
  return (results) =>
    chunks.reduce((sum, chunk, i) => {
      const losses = results[`loss ${i}`]!.data as Float32Array;
      return sum + losses.subarray(0, chunk.count).reduce((total, x) => total + x, 0) * chunk.weight;
    }, 0);
}

async function learnHead(
  stage: Stage,
  pass: Pass,
  head: HeadSpace,
  inputs: Readonly<Record<string, EngineBuffer>>,
): Promise<void> {
  const { config, parts, programs } = stage;
  const state = parts.language.trained!.state;
  const output = state(headName(config.language)).gradient;
  const grads = { "grad.norm": state(finalNormName).gradient, "grad.output": output };
  const again = stage.summed.has("head");
  const graphs = programs.head(head.hidden.shape[0]!);
  const sums = again ? { "sum.norm": grads["grad.norm"], "sum.output": output } : {};
  const program = await (again ? graphs.accumulate() : graphs.backward());
  pass
    .run(
      program,
      { ...inputs, ...sums },
      { loss: head.loss, dhidden: head.dhidden, labelRows: head.labelRows, ...grads },
    )
    .call({ kernel: "scatterAddRows", table: output, ids: head.targetIds, from: head.labelRows, factor: -1 });
  stage.summed.add("head");
}

async function backwardLayers(stage: Stage, pass: Pass, batch: MicroBatch, space: Workspace): Promise<void> {
  const { parts, programs, layerNames } = stage;
  const trained = parts.language.trained;
  const graphs = programs.layer(shapeOf(batch));
  const again = stage.summed.has("layers");
  const program = await (trained === undefined ? graphs.through() : again ? graphs.accumulate() : graphs.backward());
  for (let layer = space.saved.length - 1; layer >= 0; layer--) {
    const depth = space.saved.length - 1 - layer;
    const [dy, dx] = depth % 2 === 0 ? space.dx : [space.dx[1], space.dx[0]];
    const outputs: Record<string, EngineBuffer> = { dx };
    const sums: Record<string, EngineBuffer> = {};
    for (const name of trained === undefined ? [] : layerNames) {
      const { gradient } = trained!.state(layerPrefix(layer) + name);
      outputs[`grad.${name}`] = gradient;
      if (again) sums[`sum.${name}`] = gradient;
    }
    const inputs = {
      dy,
      x: space.x[layer]!,
      ...space.saved[layer]!,
      ...context(space),
      ...layerWeights(stage, layer),
      ...sums,
    };
    pass.run(program, needed(program.inputs, inputs), outputs);
  }
  if (trained) stage.summed.add("layers");
}

/** Gradients of embedding rows, and of the projector through the picture rows. */
async function backwardEmbedding(stage: Stage, pass: Pass, batch: MicroBatch, space: Workspace): Promise<void> {
  const { config, parts, programs } = stage;
  const dx0 = space.dx[space.saved.length % 2]!;
  if (parts.language.trained) {
    const table = parts.language.trained.state(embeddingName).gradient;
    if (!config.language.tied && !stage.summed.has("embedding")) pass.call({ kernel: "fill", buffer: table, value: 0 });
    pass.call({ kernel: "scatterAddRows", table, ids: space.ids, from: dx0 });
    stage.summed.add("embedding");
  }
  if (!parts.projector.trained || batch.pictures.length === 0) return;
  const pictures = stage.pictures(batch.pictures.length);
  copyPictures(pass, batch, config.language.hiddenSize, (place, offset, width) => ({
    from: dx0,
    into: pictures.dprojected,
    fromOffset: place.start * width,
    intoOffset: offset,
  }));
  const graphs = programs.projector(pictures.features.shape[0]!);
  const again = stage.summed.has("projector");
  const program = await (again ? graphs.accumulate() : graphs.backward());
  const outputs: Record<string, EngineBuffer> = {};
  const sums: Record<string, EngineBuffer> = {};
  for (const name of parts.projector.shapes.keys()) {
    const { gradient } = parts.projector.trained.state(name);
    outputs[`grad.${name}`] = gradient;
    if (again) sums[`sum.${name}`] = gradient;
  }
  const inputs = { features: pictures.features, dprojected: pictures.dprojected, ...projectorWeights(stage), ...sums };
  pass.run(program, needed(program.inputs, inputs), outputs);
  stage.summed.add("projector");
}

type Copy = { from: EngineBuffer; into: EngineBuffer; fromOffset: number; intoOffset: number };

function copyPictures(
  pass: Pass,
  batch: MicroBatch,
  width: number,
  ends: (place: MicroBatch["pictures"][number], offset: number, width: number) => Copy,
): void {
  let offset = 0;
  for (const place of batch.pictures) {
    const size = place.length * width;
    pass.call({
      kernel: "copyBlocks",
      ...ends(place, offset, width),
      blocks: 1,
      length: size,
      fromStride: size,
      intoStride: size,
    });
    offset += size;
  }
}

const shapeOf = ({ rows, length }: MicroBatch): RowShape => ({ rows, length });
const context = (space: Workspace) => ({ cos: space.cos, sin: space.sin, mask: space.mask });

function layerWeights({ parts, layerNames }: Stage, layer: number): Record<string, EngineBuffer> {
  return Object.fromEntries(layerNames.map((name) => [name, parts.language.parameter(layerPrefix(layer) + name)]));
}

function projectorWeights({ parts }: Stage): Record<string, EngineBuffer> {
  return Object.fromEntries([...parts.projector.shapes.keys()].map((name) => [name, parts.projector.parameter(name)]));
}

/** Only what a program asks for: a gradient may not need every value of its forward pass. */
function needed(
  wanted: Readonly<Record<string, unknown>>,
  all: Readonly<Record<string, EngineBuffer>>,
): Record<string, EngineBuffer> {
  return Object.fromEntries(Object.entries(all).filter(([name]) => name in wanted));
}

function trainedParts(stage: Stage): (readonly [TrainedPart, PartParameters])[] {
  return (Object.entries(stage.parts) as [TrainedPart, PartParameters][]).filter(
    ([, part]) => part.trained !== undefined,
  );
}

/** √Σ g² over all trained parts; a part that no sample of this step reached has gradients of zero. */
async function gradientNorm(stage: Stage): Promise<number> {
  const pass = stage.engine.pass();
  const trained = trainedParts(stage);
  if (trained.length === 0) return 0;
  if (stage.parts.projector.trained && !stage.summed.has("projector")) {
    for (const buffer of stage.parts.projector.trained.gradients) pass.call({ kernel: "fill", buffer, value: 0 });
  }
  const of = trained.flatMap(([, part]) => [...part.trained!.gradients]);
  const { sum } = await pass.call({ kernel: "sumSquares", of, into: stage.norm }).read("sum", stage.norm).submit();
  return Math.sqrt((sum!.data as Float32Array)[0]!);
}

async function update(stage: Stage, step: number, gradNorm: number, adamw: AdamW): Promise<void> {
  if (!Number.isFinite(gradNorm)) {
    throw new RunError("TRAIN_NOT_FINITE", {
      expected: "a finite gradient norm",
      got: String(gradNorm),
      where: `step ${step}`,
      fix: "lower the learning rate",
    });
  }
  const { betas, epsilon, maxGradNorm, weightDecay } = adamw;
  // as torch.nn.utils.clip_grad_norm_: the norm plus 1e-6
  const scale = maxGradNorm > 0 ? Math.min(1, maxGradNorm / (gradNorm + 1e-6)) : 1;
  const pass = stage.engine.pass();
  for (const [name, part] of trainedParts(stage)) {
    for (const [key, shape] of part.shapes) {
      const { gradient, m, v } = part.trained!.state(key);
      pass.call({
        kernel: "adamw",
        parameter: part.parameter(key),
        gradient,
        m,
        v,
        step,
        learningRate: adamw.learningRates[name] ?? 0,
        beta1: betas[0],
        beta2: betas[1],
        epsilon,
        // biases and norms are not decayed (LLaVA's trainer, as Hugging Face's)
        weightDecay: shape.length > 1 ? weightDecay : 0,
        scale,
      });
    }
  }
  await pass.submit();
}
