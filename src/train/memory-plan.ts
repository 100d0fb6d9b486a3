// How a stage's steps use memory: what a layer keeps for its backward pass, and whether gradients lie where that lay.
import { type Shape, sizeOf } from "../graph/tensor.ts";
import type { LanguageConfig } from "../models/config.ts";
import { layerPrefix, layerShapes } from "../models/llama.ts";
import { type SavedName, savedNames } from "./decoder.ts";
import type { SharedRoom } from "./parameters.ts";
import { layerElements, type RowLimits } from "./workspace.ts";

export interface MemoryPlan {
  /** keep what a layer's large products made, or compute all but attention's output again in the backward pass */
  readonly activations: "keep" | "recompute";
  /** gradients of layers lie where activations of later layers lay: only where every step is one micro-batch */
  readonly shared: boolean;
}

/** What fits every stage: nothing is computed twice, and gradients of several micro-batches can be summed. */
export const keepAll: MemoryPlan = { activations: "keep", shared: false };

/** What a layer's forward pass leaves for its backward pass, besides its input. */
export const savedBy: Readonly<Record<MemoryPlan["activations"], readonly SavedName[]>> = {
  keep: savedNames,
  // attention's output is small, and taking it again would cost the one part that is not a plain product
  recompute: ["attended"],
};

/**
 * Room for the activations of all layers with their gradients laid over them: activations from the start, A elements a
 * layer, gradients at the end, G elements a layer. When a layer's gradients are written only layers up to it still need
 * their activations, so for L layers max(A + L·G, L·A + G) elements do in place of L·(A + G).
 */
export function sharedRoom(c: LanguageConfig, most: RowLimits, activations: MemoryPlan["activations"]): SharedRoom {
  const kept = layerElements(c, most, savedBy[activations]);
  const gradients = Object.values(layerShapes(c)).reduce(
    (sum, shape: Shape) => sum + 16 * Math.ceil(sizeOf(shape) / 16),
    0,
  );
  return {
    elements: Math.max(kept + c.layers * gradients, c.layers * kept + gradients),
    holds: (name) => name.startsWith(layerPrefix(0).replace(/0\.$/, "")),
  };
}
