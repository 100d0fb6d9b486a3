// Runs a vision tower: preprocessed pictures in, features ready for the projector out.
import { pixelShuffle } from "./projector.ts";
import { graph, input } from "../graph/graph.ts";
import { sizeOf } from "../graph/tensor.ts";
import { type Bindings, type Engine, type EngineBuffer, type Program, upload, view } from "../runtime/engine.ts";
import type { LlavaConfig } from "./config.ts";
import { neededWeights, visionFeatures, visionShapes } from "./vision.ts";
import type { PartWeights } from "./weights.ts";

type VisionParts = Pick<LlavaConfig, "vision" | "features" | "projector">;

export interface PictureEncoder {
  /** pictures that go through the tower together */
  readonly batch: number;
  /** [3, S, S] each → [tokens, r²·E] each, pixel shuffle done */
  encode(pictures: readonly Float32Array[]): Promise<Float32Array<ArrayBuffer>[]>;
  release(): Promise<void>;
}

/** The graph for `batch` pictures: pixels [B, 3, S, S] → features [B, tokens, r²·E]. */
export function encoderGraph({ vision, features, projector }: VisionParts, batch: number): ReturnType<typeof graph> {
  const shapes = visionShapes(vision);
  const pixels = input("pixels", "float32", [batch, 3, vision.imageSize, vision.imageSize]);
  const tower = visionFeatures(pixels, (name) => input(name, "float32", shapes.get(name)!), vision, features);
  return graph("vision tower", { features: pixelShuffle(tower, projector.pixelShuffle) });
}

/** Loads a frozen tower. Weights that the feature layer doesn't need are not loaded. */
export async function createPictureEncoder(
  engine: Engine,
  parts: VisionParts,
  weights: PartWeights,
  batch: number,
): Promise<PictureEncoder> {
  const buffers = new Map<string, EngineBuffer>();
  for (const name of neededWeights(parts.vision, parts.features)) {
    const data = (await weights.load(name)) as Float32Array<ArrayBuffer>;
    buffers.set(name, await upload(engine, { dtype: "float32", shape: weights.shapes.get(name)!, data }));
  }
  const encoder = openTower(engine, parts, (name) => buffers.get(name)!, batch);
  return {
    ...encoder,
    release: async () => {
      await encoder.release();
      for (const buffer of buffers.values()) engine.free(buffer);
    },
  };
}

/** A tower whose weights lie in the engine: pictures are encoded with them as they are at each call. */
export function openTower(
  engine: Engine,
  parts: VisionParts,
  parameter: (name: string) => EngineBuffer,
  batch: number,
): PictureEncoder {
  const needed = neededWeights(parts.vision, parts.features);
  const programs = new Map<number, Program>();
  const pixels = engine.allocate("float32", [batch, 3, parts.vision.imageSize, parts.vision.imageSize]);
  const bound = (): Bindings => Object.fromEntries(needed.map((name) => [name, parameter(name)]));
  const one = sizeOf(encoderGraph(parts, 1).outputs[0]!.shape);
  const features = engine.allocate("float32", [batch * one]);
  return {
    batch,
    encode: async (pictures) => {
      const results: Float32Array<ArrayBuffer>[] = [];
      for (let start = 0; start < pictures.length; start += batch) {
        const group = pictures.slice(start, start + batch);
        // whole batches share one program; a rest runs one by one rather than compiling a size for it
        const sizes = group.length === batch ? [batch] : group.map(() => 1);
        let at = start;
        for (const size of sizes) {
          const program = programs.get(size) ?? (await engine.load(encoderGraph(parts, size)));
          programs.set(size, program);
          results.push(
            ...(await run(engine, program, bound(), { pixels, features }, pictures.slice(at, at + size), one)),
          );
          at += size;
        }
      }
      return results;
    },
    release: async () => {
      for (const program of programs.values()) await engine.unload(program);
      for (const buffer of [pixels, features]) engine.free(buffer);
    },
  };
}

async function run(
  engine: Engine,
  program: Program,
  weights: Bindings,
  space: { readonly pixels: EngineBuffer<"float32">; readonly features: EngineBuffer<"float32"> },
  pictures: readonly Float32Array[],
  one: number,
): Promise<Float32Array<ArrayBuffer>[]> {
  const { shape } = program.inputs["pixels"]!;
  const joined = new Float32Array(sizeOf(shape));
  pictures.forEach((picture, i) => joined.set(picture, i * picture.length));
  const pixels = view(space.pixels, shape);
  const features = view(space.features, program.outputs["features"]!.shape);
  const { value } = await engine
    .pass()
    .write(pixels, joined)
    .run(program, { pixels, ...weights }, { features })
    .read("value", features)
    .submit();
  const all = value!.data as Float32Array<ArrayBuffer>;
  return pictures.map((_, i) => all.slice(i * one, (i + 1) * one));
}
