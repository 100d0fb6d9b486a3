// The plain loops that a pass can call, as data: what each takes and writes.
import type { Arrays, DType } from "../graph/tensor.ts";
import type { EngineBuffer } from "./buffer.ts";
import type { AdamWOptions } from "./adamw-constants.ts";

type Floats = EngineBuffer<"float32">;
type Ids = EngineBuffer<"int32">;

/** One step of AdamW (Loshchilov & Hutter, arXiv 1711.05101; PyTorch's `AdamW`), in place on all but the gradient. */
export interface AdamWCall extends AdamWOptions {
  readonly kernel: "adamw";
  readonly parameter: Floats;
  readonly gradient: Floats;
  readonly m: Floats;
  readonly v: Floats;
}

/** The same with moments in 8 bits (moments.ts says how), rounded by random numbers that `step` decides. */
export interface AdamW8BitCall extends AdamWOptions {
  readonly kernel: "adamw8bit";
  readonly parameter: Floats;
  readonly gradient: Floats;
  readonly m: EngineBuffer<"uint8">;
  readonly v: EngineBuffer<"uint8">;
  /** [blocks, 2] */
  readonly scales: Floats;
}

/** into[0] ← Σ x² over all buffers, summed in float64; not finite when any element is not (or the sum leaves float32). */
export interface SumSquaresCall {
  readonly kernel: "sumSquares";
  readonly of: readonly Floats[];
  readonly into: Floats;
}

/** Every element ← value. */
export interface FillCall {
  readonly kernel: "fill";
  readonly buffer: EngineBuffer;
  readonly value: number;
}

/** buffer ← factor · buffer */
export interface ScaleCall {
  readonly kernel: "scale";
  readonly buffer: Floats;
  readonly factor: number;
}

/** into ← into + factor · from (factor 1 when absent) */
export interface AddIntoCall {
  readonly kernel: "addInto";
  readonly into: Floats;
  readonly from: Floats;
  readonly factor?: number;
}

/** A table of V rows of D elements, and which rows; an id below 0 is skipped. */
interface Rows {
  /** [V, D], or [D, V] when `transposed` */
  readonly table: Floats;
  /** [N] */
  readonly ids: Ids;
  readonly transposed?: boolean;
  /** multiplies what is read; 1 when absent */
  readonly factor?: number;
}

/** into[n] ← factor · table[ids[n]], or added to into[n] with `accumulate`; into is [N, D]. */
export interface GatherRowsCall extends Rows {
  readonly kernel: "gatherRows";
  readonly into: Floats;
  readonly accumulate?: boolean;
}

/** table[ids[n]] ← table[ids[n]] + factor · from[n], in the order of n; from is [N, D]. */
export interface ScatterAddRowsCall extends Rows {
  readonly kernel: "scatterAddRows";
  readonly from: Floats;
}

/** into[n, ids[n]] ← into[n, ids[n]] + value: softmax(logits) becomes the gradient of cross-entropy with value −1. */
export interface AddAtCall {
  readonly kernel: "addAt";
  /** [N, V] */
  readonly into: Floats;
  /** [N]; an id below 0 leaves its row alone */
  readonly ids: Ids;
  readonly value: number;
}

/**
 * Copies `blocks` runs of `length` elements: run b goes from `fromOffset + b · fromStride` to
 * `intoOffset + b · intoStride` (elements). Runs are copied in order, so they must not overlap within one buffer.
 */
export interface CopyBlocksCall {
  readonly kernel: "copyBlocks";
  readonly from: EngineBuffer;
  readonly into: EngineBuffer;
  readonly blocks: number;
  readonly length: number;
  readonly fromStride: number;
  readonly intoStride: number;
  readonly fromOffset?: number;
  readonly intoOffset?: number;
}

/** into ← the values of 4-bit blocks (formats/q4.ts): 16 bytes, a scale and perhaps a minimum for 32 elements. */
export interface DequantiseCall {
  readonly kernel: "dequantise";
  readonly codes: EngineBuffer<"uint8">;
  readonly scales: EngineBuffer<"float16">;
  readonly minima?: EngineBuffer<"float16">;
  readonly into: Floats;
}

export type KernelCall =
  | AdamWCall
  | AdamW8BitCall
  | SumSquaresCall
  | FillCall
  | ScaleCall
  | AddIntoCall
  | GatherRowsCall
  | ScatterAddRowsCall
  | AddAtCall
  | CopyBlocksCall
  | DequantiseCall;

/** The buffers that a call names. */
export function buffersOf(call: KernelCall): EngineBuffer[] {
  return Object.values(call)
    .flat()
    .filter((value): value is EngineBuffer => typeof value === "object");
}

/** Finds the memory of a buffer. */
export type ArrayOf = <D extends DType>(buffer: EngineBuffer<D>) => Arrays[D];
