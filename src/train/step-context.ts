// What every command of a stage's steps shares: parameters, programs, buffers, and what is summed so far.
import type { LlavaConfig } from "../models/config.ts";
import { layerPrefix } from "../models/llama.ts";
import type { Engine, EngineBuffer, Pass } from "../runtime/engine.ts";
import type { RowShape } from "./decoder.ts";
import type { MemoryPlan } from "./memory-plan.ts";
import type { MicroBatch } from "./micro-batch.ts";
import type { PartParameters } from "./parameters.ts";
import type { Programs } from "./programs.ts";
import type { TowerRoom } from "./tower-space.ts";
import type { HeadSpace, PictureSpace, Workspace } from "./workspace.ts";

export type TrainedPart = "vision" | "projector" | "language";

/** The parts of a stage's steps; the tower is one of them only where it learns, for else its features are given. */
export interface Parts {
  readonly vision?: PartParameters;
  readonly projector: PartParameters;
  readonly language: PartParameters;
}

/**
 * What steps are given of pictures, one behind the other: features [pictures · tokens, W] that were computed once or,
 * where the tower learns, pixels [pictures, 3, H, W].
 */
export type Features = (images: readonly string[]) => Promise<Float32Array<ArrayBuffer>>;

export interface StepperOptions {
  readonly engine: Engine;
  readonly config: LlavaConfig;
  readonly parts: Parts;
  /** tokens of the longest row */
  readonly length: number;
  /** tokens of the largest micro-batch */
  readonly tokens: number;
  readonly features: Features;
  /** `keepAll` when absent */
  readonly memory?: MemoryPlan;
}

export interface StepContext extends StepperOptions {
  readonly programs: Programs;
  readonly space: (shape: RowShape) => Workspace;
  readonly head: (rows: number) => HeadSpace;
  readonly pictures: (pictures: number) => PictureSpace;
  /** where the tower learns */
  readonly tower?: TowerRoom;
  readonly norm: EngineBuffer<"float32">;
  /** a layer's weights, an adapter's included */
  readonly layerNames: readonly string[];
  /** which gradients hold a sum of this step already */
  readonly summed: Set<string>;
}

export const shapeOf = ({ rows, length }: MicroBatch): RowShape => ({ rows, length });
/** What every layer is given beside its input and weights. */
export const rowInputs = (space: Workspace) => ({ cos: space.cos, sin: space.sin, mask: space.mask });

/** A layer's weights for the next run of `pass`. */
export function layerWeights(
  { parts: { language }, layerNames }: StepContext,
  pass: Pass,
  layer: number,
): Record<string, EngineBuffer> {
  const bound = layerNames.map((name) => {
    const key = layerPrefix(layer) + name;
    language.prepare?.(pass, key);
    return [name, language.parameter(key)] as const;
  });
  return Object.fromEntries(bound);
}

export function projectorWeights({ parts }: StepContext): Record<string, EngineBuffer> {
  return Object.fromEntries([...parts.projector.shapes.keys()].map((name) => [name, parts.projector.parameter(name)]));
}

/** Only what a program asks for: a gradient may not need every value of its forward pass. */
export function needed(
  wanted: Readonly<Record<string, unknown>>,
  all: Readonly<Record<string, EngineBuffer>>,
): Record<string, EngineBuffer> {
  return Object.fromEntries(Object.entries(all).filter(([name]) => name in wanted));
}

type Copy = { from: EngineBuffer; into: EngineBuffer; fromOffset: number; intoOffset: number };

export function copyPictures(
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
