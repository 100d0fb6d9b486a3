// Pictures as the language model takes them: through tower and projector once, then kept by their content.
import { graph, input } from "../graph/graph.ts";
import { type LlavaConfig, tokensPerPicture } from "../models/config.ts";
import { createPictureEncoder } from "../models/encode-pictures.ts";
import type { Lora } from "../models/lora.ts";
import { weightInputs, weightNames } from "../models/lora-inputs.ts";
import { featureWidth, project, projectorShapes } from "../models/projector.ts";
import type { PartWeights } from "../models/weights.ts";
import type { Bindings, Engine, EngineBuffer } from "../runtime/engine.ts";
import type { PictureTokens } from "./generation.ts";

type Floats = EngineBuffer<"float32">;

/** Tower features of one picture [M, S], pixel shuffle done → projected features [M, E]. */
export interface PictureProjector {
  project(features: Float32Array): Promise<Float32Array>;
  release(): Promise<void>;
}

/** Runs the projector with the weights as they are in the engine at each call. */
export async function createPictureProjector(
  engine: Engine,
  config: LlavaConfig,
  parameter: (name: string) => Floats,
  lora?: Lora,
): Promise<PictureProjector> {
  const tokens = tokensPerPicture(config);
  const width = featureWidth(config);
  const shapes = projectorShapes(config);
  const inputs = weightInputs(shapes, lora);
  const projection = project(input("features", "float32", [tokens, width]), inputs.weight, config, inputs.lowRank);
  const program = await engine.load(graph("projector", { projected: projection }));
  const features = engine.allocate("float32", [tokens, width]);
  const projected = engine.allocate("float32", [tokens, config.language.hiddenSize]);
  return {
    async project(values) {
      const weights: Bindings = Object.fromEntries(weightNames(shapes, lora).map((name) => [name, parameter(name)]));
      const { rows } = await engine
        .pass()
        .write(features, values)
        .run(program, { features, ...weights }, { projected })
        .read("rows", projected)
        .submit();
      return rows!.data as Float32Array;
    },
    release: async () => {
      for (const buffer of [features, projected]) engine.free(buffer);
      await engine.unload(program);
    },
  };
}

/** Features of views projected one by one: [views · M, E]. */
export async function projectViews(projector: PictureProjector, features: Views): Promise<Float32Array> {
  const projected: Float32Array[] = [];
  for (const one of features) projected.push(await projector.project(one));
  const rows = new Float32Array(projected.reduce((sum, { length }) => sum + length, 0));
  projected.forEach((one, i) => rows.set(one, i * one.length));
  return rows;
}

export type Views = readonly Float32Array[];

export interface PictureReader {
  /** places that one view of a picture takes in a prompt */
  readonly tokens: number;
  /** whether a picture's features are kept, or being read; absent where none are kept */
  has?(key: string): boolean;
  /** A picture's features, one view behind the other; its views [3, S, S] are asked for when `key` is not known. */
  read(key: string, views: () => Views | Promise<Views>): Promise<PictureTokens>;
  release(): Promise<void>;
}

/** Features of so many bytes are kept. */
const keptBytes = 256 * 2 ** 20;

/** Reads pictures with tower and projector; their features are kept, the least recently used go first. */
export async function createPictureReader(
  engine: Engine,
  config: LlavaConfig,
  vision: PartWeights,
  projector: PictureProjector,
): Promise<PictureReader> {
  const encoder = await createPictureEncoder(engine, config, vision, 1);
  const tokens = tokensPerPicture(config);
  const largest = tokens * (1 + (config.tiles ?? 0)) * config.language.hiddenSize * 4;
  const most = Math.max(1, Math.floor(keptBytes / largest));
  const known = new Map<string, Promise<PictureTokens>>();
  // one at a time: encoder and projector have one set of buffers
  let last: Promise<unknown> = Promise.resolve();
  const encode = async (key: string, views: () => Views | Promise<Views>): Promise<PictureTokens> => {
    const features = await encoder.encode(await views());
    return { key, rows: await projectViews(projector, features) };
  };
  return {
    tokens,
    has: (key) => known.has(key),
    read(key, views) {
      const kept = known.get(key);
      const picture = kept ?? last.then(() => encode(key, views));
      if (!kept) last = picture.catch(() => undefined);
      known.delete(key);
      known.set(key, picture);
      picture.catch(() => known.delete(key));
      if (known.size > most) known.delete(known.keys().next().value!);
      return picture;
    },
    release: async () => {
      await last;
      await encoder.release();
      await projector.release();
    },
  };
}
