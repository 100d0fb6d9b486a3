// Which weights a 4-bit base keeps in blocks, and what they are worth afterwards.
import { blockElements, type Blocks, dequantise, quantise } from "../formats/q4.ts";
import type { Shape } from "../graph/tensor.ts";
import type { PartWeights } from "./weights.ts";

/** Whether a language weight is kept in blocks: the matrices of the layers, where blocks fit their rows. */
export const inBlocks = (name: string, shape: Shape): boolean =>
  name.includes("_proj.weight") && shape[1]! % blockElements === 0;

/** A weight's blocks as they are stored, else the nearest to its values. */
export async function blocksOf(weights: PartWeights, name: string, values?: Float32Array): Promise<Blocks> {
  return (await weights.blocks?.(name)) ?? quantise(values ?? (await weights.load(name)));
}

/** The same weights with the values that their blocks stand for: what was trained on is what is saved. */
export function roundedToBlocks(weights: PartWeights): PartWeights {
  return {
    ...weights,
    load: async (name) => {
      const values = await weights.load(name);
      if (inBlocks(name, weights.shapes.get(name)!)) dequantise(await blocksOf(weights, name, values), values);
      return values;
    },
  };
}
