// A buffer of the engine as its users hold it: a name for memory, not the memory.
import type { DType, Shape } from "../graph/tensor.ts";

/** A tensor in the engine's memory; `offset` (in elements) makes views of one allocation. Plain data: it crosses threads. */
export interface EngineBuffer<D extends DType = DType> {
  readonly id: number;
  readonly dtype: D;
  readonly shape: Shape;
  readonly offset: number;
}
