// Every buffer that a stage's steps need, allocated once for the largest micro-batch.
// Shapes: B rows, T tokens, N = B·T, E hidden, K key/value heads, G groups, D head size, F intermediate.
import { type Shape, sizeOf } from "../graph/tensor.ts";
import type { LlavaConfig } from "../models/config.ts";
import { tokensPerPicture } from "../models/config.ts";
import { featureWidth } from "../models/projector.ts";
import { type Engine, type EngineBuffer, view } from "../runtime/engine.ts";
import type { RowShape, SavedName } from "./decoder.ts";

type Floats = EngineBuffer<"float32">;
type Ints = EngineBuffer<"int32">;

/** Buffers of one micro-batch size; those of smaller sizes are views of the same memory. */
export interface Workspace {
  readonly ids: Ints;
  readonly documents: Ints;
  readonly branches: Ints;
  readonly positions: Ints;
  readonly cos: Floats;
  readonly sin: Floats;
  readonly mask: Floats;
  /** layer inputs: x[0] the embeddings, x[L] the last layer's output */
  readonly x: readonly Floats[];
  readonly saved: readonly Readonly<Partial<Record<SavedName, Floats>>>[];
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

/** What micro-batches need at most: `tokens` in all, rows of at most `length` of them. */
export interface RowLimits {
  readonly tokens: number;
  readonly length: number;
}

export interface RowSpaceOptions {
  readonly most: RowLimits;
  /** what a layer's forward pass leaves for its backward pass */
  readonly saved: readonly SavedName[];
  readonly backward: boolean;
  /** where activations of layers go, one layer behind the other; absent: each into memory of its own */
  readonly region?: Floats;
}

/** Allocates for the largest micro-batch; the returned function gives the views for a smaller one. */
export function rowSpace(
  allocate: Allocate,
  { language: c }: LlavaConfig,
  { most, saved: names, backward, region }: RowSpaceOptions,
): (shape: RowShape) => Workspace {
  const of = <D extends "float32" | "int32">(
    dtype: D,
    shape: ShapeOf,
    into: Allocate = allocate,
  ): ((rows: RowShape) => EngineBuffer<D>) => {
    const whole = into(dtype, [mostElements(shape, most)]);
    return (rows) => view(whole, shape(rows));
  };
  const shapes = rowShapes(c);
  const hidden = (): ((rows: RowShape) => Floats) => of("float32", shapes.hidden);
  const kept = region === undefined ? allocate : within(region);
  const small = {
    ids: of("int32", shapes.flat),
    documents: of("int32", shapes.tokens),
    branches: of("int32", shapes.tokens),
    positions: of("int32", shapes.tokens),
    cos: of("float32", shapes.angles),
    sin: of("float32", shapes.angles),
    mask: of("float32", shapes.mask),
  };
  const layers = Array.from({ length: c.layers }, () => ({
    x: of("float32", shapes.hidden, kept),
    saved: names.map((name) => [name, of("float32", shapes.saved[name], kept)] as const),
  }));
  const x = [...layers.map((layer) => layer.x), hidden()];
  const dx = backward ? ([hidden(), hidden()] as const) : ([x[0]!, x[0]!] as const);
  return (rows) => ({
    ids: small.ids(rows),
    documents: small.documents(rows),
    branches: small.branches(rows),
    positions: small.positions(rows),
    cos: small.cos(rows),
    sin: small.sin(rows),
    mask: small.mask(rows),
    x: x.map((at) => at(rows)),
    saved: layers.map(({ saved }) => Object.fromEntries(saved.map(([name, at]) => [name, at(rows)]))),
    dx: [dx[0](rows), dx[1](rows)],
  });
}

type ShapeOf = (rows: RowShape) => Shape;

/** Of a buffer for the largest micro-batch: every shape is B·T times something, but the mask's, which is B·T·T. */
function mostElements(shape: ShapeOf, { tokens, length }: RowLimits): number {
  return padded(sizeOf(shape({ rows: 1, length })) * Math.ceil(tokens / length));
}

/** Rounded up to 64 bytes. */
const padded = (elements: number): number => Math.ceil(elements / 16) * 16;

/** Elements that one layer's input and saved values take. */
export function layerElements(c: LlavaConfig["language"], most: RowLimits, saved: readonly SavedName[]): number {
  const shapes = rowShapes(c);
  return [shapes.hidden, ...saved.map((name) => shapes.saved[name])].reduce(
    (sum, shape) => sum + mostElements(shape, most),
    0,
  );
}

/** Hands out a region from its start. */
function within(region: Floats): Allocate {
  let used = 0;
  return (dtype, shape) => {
    const part = view(region, shape, used);
    used += padded(sizeOf(shape));
    return part as EngineBuffer<typeof dtype>;
  };
}

function rowShapes(c: LlavaConfig["language"]) {
  const [k, g, d] = [c.keyValueHeads, c.heads / c.keyValueHeads, c.headSize];
  const wide =
    (width: number): ShapeOf =>
    ({ rows, length }) => [rows * length, width];
  const keys: ShapeOf = ({ rows, length }) => [rows, k, length, d];
  const saved: Record<SavedName, ShapeOf> = {
    q: ({ rows, length }) => [rows, k, g, length, d],
    k: keys,
    v: keys,
    attended: wide(c.heads * d),
    residual: wide(c.hiddenSize),
    gate: wide(c.intermediateSize),
    up: wide(c.intermediateSize),
  };
  const flat: ShapeOf = ({ rows, length }) => [rows * length];
  const tokens: ShapeOf = ({ rows, length }) => [rows, length];
  const angles: ShapeOf = ({ rows, length }) => [rows, 1, 1, length, d / 2];
  const mask: ShapeOf = ({ rows, length }) => [rows, 1, 1, length, length];
  return { flat, tokens, angles, mask, hidden: wide(c.hiddenSize), saved };
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
    features: featureWidth(config),
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
