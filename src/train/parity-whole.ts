// Runs the whole model as one graph on rows of tokens and their pictures.
import type { Row } from "../data/pack.ts";
import type { Arrays, DType, Shape, Tensor } from "../graph/tensor.ts";
import { sizeOf } from "../graph/tensor.ts";
import type { LlavaConfig } from "../models/config.ts";
import type { LlavaFiles } from "../models/node.ts";
import { checkpointName, type ModelPart } from "../models/names.ts";
import type { Engine, EngineBuffer, Program } from "../runtime/engine.ts";
import { type MicroBatch, microBatch } from "./micro-batch.ts";
import { wholeGraph, type WholeShape } from "./parity-graph.ts";

type Pixels = readonly Float32Array[];

export interface WholeModel {
  /** Every output of `wholeGraph`; without `learn` nothing beyond the logits. `pictures` are all that the rows name. */
  run(rows: readonly Row[], pictures: Pixels, learn: boolean): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}

type WholeFiles = Pick<LlavaFiles, "config" | ModelPart>;

/** Loads every weight of a model, the vision tower's unused layers included. */
export async function loadWhole(engine: Engine, files: WholeFiles): Promise<WholeModel> {
  const weights = await uploadWeights(engine, files);
  const programs = new Map<string, Program>();
  return {
    run: async (rows, pictures, learn) => {
      const batch = microBatch(rows, files.config.language);
      const targets = learn ? batch.targetIds.length : 0;
      const shape = { rows: rows.length, length: batch.length, pictures: batch.pictures.length, targets };
      const key = JSON.stringify(shape);
      const program = programs.get(key) ?? (await engine.load(wholeGraph(files.config, shape)));
      programs.set(key, program);
      return runOnce(engine, program, weights, feedsOf(batch, shape, pictures, files.config));
    },
    release: async () => {
      for (const program of programs.values()) await engine.unload(program);
      for (const buffer of weights.values()) engine.free(buffer);
    },
  };
}

async function uploadWeights(engine: Engine, { config, ...parts }: WholeFiles): Promise<Map<string, EngineBuffer>> {
  const buffers = new Map<string, EngineBuffer>();
  for (const part of ["vision", "projector", "language"] as const) {
    for (const [name, shape] of parts[part].shapes) {
      const buffer = engine.allocate("float32", shape);
      const data = (await parts[part].load(name)) as Float32Array<ArrayBuffer>;
      await engine.pass().write(buffer, data).submit();
      buffers.set(checkpointName(part, name, config.vision.family), buffer);
    }
  }
  return buffers;
}

/** Binds weights and feeds by name, computes every output, and frees what was allocated for it. */
async function runOnce(
  engine: Engine,
  program: Program,
  weights: ReadonlyMap<string, EngineBuffer>,
  feeds: Readonly<Record<string, Arrays[DType]>>,
): Promise<Record<string, Tensor>> {
  const own: EngineBuffer[] = [];
  const allocate = ({ dtype, shape }: { dtype: DType; shape: Shape }): EngineBuffer => {
    const buffer = engine.allocate(dtype, shape);
    own.push(buffer);
    return buffer;
  };
  const pass = engine.pass();
  const bind = ([name, type]: [string, { dtype: DType; shape: Shape }]): [string, EngineBuffer] => {
    const weight = weights.get(name);
    if (weight !== undefined) return [name, weight];
    const buffer = allocate(type);
    pass.write(buffer, feeds[name] as Arrays[DType]);
    return [name, buffer];
  };
  try {
    const inputs = Object.fromEntries(Object.entries(program.inputs).map(bind));
    const results = Object.entries(program.outputs).map(([name, type]) => [name, allocate(type)] as const);
    pass.run(program, inputs, Object.fromEntries(results));
    for (const [name, buffer] of results) pass.read(name, buffer);
    return await pass.submit();
  } finally {
    for (const buffer of own) engine.free(buffer);
  }
}

function feedsOf(
  batch: MicroBatch,
  { rows, length, targets }: WholeShape,
  pictures: Pixels,
  { vision, language }: LlavaConfig,
): Record<string, Arrays[DType]> {
  const n = rows * length;
  const [pictureRows, isPicture] = [new Int32Array(n), new Uint8Array(n)];
  const pixels = new Float32Array(sizeOf([batch.pictures.length, 3, vision.imageSize, vision.imageSize]));
  let used = 0;
  batch.pictures.forEach(({ start, length: tokens, image }, i) => {
    pixels.set(pictures[Number(image)]!, (i * pixels.length) / batch.pictures.length);
    for (let t = start; t < start + tokens; t++) {
      pictureRows[t] = used++;
      isPicture[t] = 1;
    }
  });
  return {
    pixels,
    picture_rows: pictureRows,
    is_picture: isPicture,
    // no row of the embedding is looked up where a picture stands; any will do
    ids: batch.ids.map((id) => Math.min(Math.max(id, 0), language.vocabSize - 1)),
    documents: batch.documents,
    branches: batch.branches,
    positions: batch.positions,
    cos: batch.cos,
    sin: batch.sin,
    ...(targets === 0 ? {} : { target_rows: batch.targetRows, target_ids: batch.targetIds }),
  };
}
