// Every buffer that a stage's steps need, allocated once for the largest micro-batch.
// Shapes: B rows, T tokens, N = B·T, E hidden, K key/value heads, G groups, D head size, F intermediate.
import { type Shape, sizeOf } from "../graph/tensor.ts";
import type { LlavaConfig } from "../models/config.ts";
import { tokensPerPicture } from "../models/config.ts";
import { type Engine, type EngineBuffer, view } from "../runtime/engine.ts";
import { savedNames } from "./decoder.ts";

type Floats = EngineBuffer<"float32">;
type Ints = EngineBuffer<"int32">;
export type SavedName = (typeof savedNames)[number];

/** Buffers of one micro-batch size; those of smaller sizes are views of the same memory. */
export interface Workspace {
  readonly ids: Ints;
  readonly documents: Ints;
  readonly positions: Ints;
  readonly cos: Floats;
  readonly sin: Floats;
  readonly mask: Floats;
  /** layer inputs: x[0] the embeddings, x[L] the last layer's output */
  readonly x: readonly Floats[];
  readonly saved: readonly Readonly<Record<SavedName, Floats>>[];
  /** gradients of layer inputs and outputs, used in turn */
  readonly dx: readonly [Floats, Floats];
}

/** Buffers that do not depend on the rows of a micro-batch. */
export interface HeadSpace {
  readonly targetRows: Ints;
  readonly targetIds: Ints;
  readonly labels: Ints;
  readonly scale: Floats;
  readonly hidden: Floats;
  readonly dhidden: Floats;
  readonly labelRows: Floats;
  readonly loss: Floats;
}

export interface PictureSpace {
  readonly features: Floats;
  readonly projected: Floats;
  readonly dprojected: Floats;
}

type Allocate = <D extends "float32" | "int32">(dtype: D, shape: Shape) => EngineBuffer<D>;

/** Allocates for at most `most` rows; the returned function gives the views for `rows` of them. */
export function rowSpace(
  allocate: Allocate,
  { language: c }: LlavaConfig,
  most: number,
  length: number,
  backward: boolean,
): (rows: number) => Workspace {
  const shapes = rowShapes(c, length);
  const of = <D extends "float32" | "int32">(
    dtype: D,
    shape: (rows: number) => Shape,
  ): ((rows: number) => EngineBuffer<D>) => {
    const whole = allocate(dtype, shape(most));
    return (rows) => view(whole, shape(rows));
  };
  const parts = {
    ids: of("int32", shapes.tokens),
    documents: of("int32", (b) => [b, length]),
    positions: of("int32", (b) => [b, length]),
    cos: of("float32", shapes.angles),
    sin: of("float32", shapes.angles),
    mask: of("float32", (b) => [b, 1, 1, length, length]),
  };
  const saved = Array.from({ length: c.layers }, () =>
    savedNames.map((name) => [name, of("float32", shapes.saved[name])] as const),
  );
  const x = Array.from({ length: c.layers + 1 }, () => of("float32", shapes.hidden));
  const dx = backward
    ? ([of("float32", shapes.hidden), of("float32", shapes.hidden)] as const)
    : ([x[0]!, x[0]!] as const);
  return (rows) => ({
    ids: parts.ids(rows),
    documents: parts.documents(rows),
    positions: parts.positions(rows),
    cos: parts.cos(rows),
    sin: parts.sin(rows),
    mask: parts.mask(rows),
    x: x.map((at) => at(rows)),
    saved: saved.map(
      (layer) => Object.fromEntries(layer.map(([name, at]) => [name, at(rows)])) as Record<SavedName, Floats>,
    ),
    dx: [dx[0](rows), dx[1](rows)],
  });
}

function rowShapes(c: LlavaConfig["language"], t: number) {
  const [k, g, d] = [c.keyValueHeads, c.heads / c.keyValueHeads, c.headSize];
  const saved: Record<SavedName, (b: number) => Shape> = {
    q: (b) => [b, k, g, t, d],
    k: (b) => [b, k, t, d],
    v: (b) => [b, k, t, d],
    attended: (b) => [b * t, c.heads * d],
    residual: (b) => [b * t, c.hiddenSize],
    gate: (b) => [b * t, c.intermediateSize],
    up: (b) => [b * t, c.intermediateSize],
  };
  return {
    tokens: (b: number): Shape => [b * t],
    angles: (b: number): Shape => [b, 1, 1, t, d / 2],
    hidden: (b: number): Shape => [b * t, c.hiddenSize],
    saved,
  };
}

/** Buffers for at most `rows` trained rows at a time. */
export function headSpace(allocate: Allocate, { language: c }: LlavaConfig, rows: number): (rows: number) => HeadSpace {
  const ints = (): Ints => allocate("int32", [rows]);
  const wide = (): Floats => allocate("float32", [rows, c.hiddenSize]);
  const all = {
    targetRows: ints(),
    targetIds: ints(),
    labels: ints(),
    scale: allocate("float32", [rows, 1]),
    hidden: wide(),
    dhidden: wide(),
    labelRows: wide(),
    loss: allocate("float32", [rows, 1]),
  };
  return (m) => ({
    targetRows: view(all.targetRows, [m]),
    targetIds: view(all.targetIds, [m]),
    labels: view(all.labels, [m, 1]),
    scale: view(all.scale, [m, 1]),
    hidden: view(all.hidden, [m, c.hiddenSize]),
    dhidden: view(all.dhidden, [m, c.hiddenSize]),
    labelRows: view(all.labelRows, [m, c.hiddenSize]),
    loss: view(all.loss, [m, 1]),
  });
}

/** Buffers for the pictures of one micro-batch; allocated anew when more pictures come than ever before. */
export function pictureSpace(engine: Engine, config: LlavaConfig): (pictures: number) => PictureSpace {
  const tokens = tokensPerPicture(config);
  const widths = {
    features: config.vision.hiddenSize * config.projector.pixelShuffle ** 2,
    projected: config.language.hiddenSize,
    dprojected: config.language.hiddenSize,
  };
  let room = 0;
  let whole: PictureSpace | undefined;
  return (pictures) => {
    if (whole === undefined || pictures > room) {
      if (whole) for (const buffer of Object.values(whole)) engine.free(buffer as Floats);
      room = pictures;
      const allocate = (width: number): Floats => engine.allocate("float32", [pictures * tokens, width]);
      whole = {
        features: allocate(widths.features),
        projected: allocate(widths.projected),
        dprojected: allocate(widths.dprojected),
      };
    }
    const part = (buffer: Floats, width: number): Floats => view(buffer, [pictures * tokens, width]);
    return {
      features: part(whole.features, widths.features),
      projected: part(whole.projected, widths.projected),
      dprojected: part(whole.dprojected, widths.dprojected),
    };
  };
}

/** Counts what is allocated through it, so that all can be freed together. */
export function scope(engine: Engine): { allocate: Allocate; release(): void; bytes(): number } {
  const buffers: EngineBuffer[] = [];
  return {
    allocate: (dtype, shape) => {
      const buffer = engine.allocate(dtype, shape);
      buffers.push(buffer);
      return buffer;
    },
    release: () => buffers.forEach((buffer) => engine.free(buffer)),
    bytes: () => buffers.reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0),
  };
}
