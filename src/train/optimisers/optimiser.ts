// What an optimiser is: what it keeps of a weight, and how the weight follows its gradient. One file each beside this one.
import { BugError } from "../../errors.ts";
import type { DType, Shape } from "../../graph/tensor.ts";
import type { EngineBuffer, Pass } from "../../runtime/engine.ts";

type Floats = EngineBuffer<"float32">;

/** Arrays kept of one weight, by name; all start at zero, and all are part of every checkpoint. */
export type StateLayout = Readonly<Record<string, { readonly dtype: "float32" | "uint8"; readonly shape: Shape }>>;

/** One trained weight. Everything lies in one memory of the engine, so that vector loops can work in place. */
export interface TrainedWeight {
  /** inside its part, e.g. model.layers.0.mlp.up_proj.weight */
  readonly name: string;
  readonly shape: Shape;
  readonly parameter: Floats;
  /** the mean over the trained tokens of the whole accumulated batch; free to be overwritten */
  readonly gradient: Floats;
  readonly state: Readonly<Record<string, EngineBuffer<"float32" | "uint8">>>;
}

/** How far one weight may move in one step. */
export interface UpdateOptions {
  /** counts from 1 */
  readonly step: number;
  readonly learningRate: number;
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  /** decoupled: the weight shrinks by learningRate · weightDecay; 0 for biases and norms */
  readonly weightDecay: number;
  /** multiplies the gradient first (global clipping) */
  readonly scale: number;
}

/**
 * An optimiser at work in one stage. Its numbers are a function of weights, gradients, state and options alone, so that
 * a resumed run goes on bit for bit.
 */
export interface Optimiser {
  /** what is kept of a weight of this name and shape */
  state(name: string, shape: Shape): StateLayout;
  /** adds to the pass what moves one weight */
  update(pass: Pass, weight: TrainedWeight, options: UpdateOptions): Promise<void> | void;
  /** gives back what it took from the engine */
  release?(): Promise<void>;
}

/** One array of a weight's state; a BugError when its optimiser keeps no such array. */
export function kept<D extends DType>({ state, name }: TrainedWeight, array: string, dtype: D): EngineBuffer<D> {
  const buffer = state[array];
  if (buffer?.dtype === dtype) return buffer as EngineBuffer<D>;
  throw new BugError("OPTIMISER_STATE", {
    expected: `${array} of ${dtype}`,
    got: buffer?.dtype ?? `only ${Object.keys(state).join(", ")}`,
    where: name,
  });
}
