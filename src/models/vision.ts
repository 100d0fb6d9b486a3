// Vision towers: the pre-norm transformer that CLIP (arXiv 2103.00020), SigLIP (2303.15343) and ViT (2010.11929) share.
// Shapes: B pictures, P patches, S = P (+1 class token) positions, E hidden, p patch side.
import { add, concat, expand, layerNorm, reshape, slice, transpose } from "../graph/build.ts";
import type { Value } from "../graph/graph.ts";
import type { Shape } from "../graph/tensor.ts";
import { activations } from "../nn/activation.ts";
import { attention, mergeHeads, splitHeads } from "../nn/attention.ts";
import { linear } from "../nn/linear.ts";
import type { FeatureConfig, VisionConfig } from "./config.ts";
import type { Weights } from "./llama.ts";

/** What tells the families apart, apart from the names in their files (names.ts). */
const familyTraits = {
  clip: { classToken: true, patchBias: false, preNorm: true },
  siglip: { classToken: false, patchBias: true, preNorm: false },
  vit: { classToken: true, patchBias: true, preNorm: false },
} as const;

/** Our names of every weight with its shape; the parts that no feature layer needs (heads, poolers) are left out. */
export function visionShapes(c: VisionConfig): Map<string, Shape> {
  const [e, f] = [c.hiddenSize, c.intermediateSize];
  const patches = (c.imageSize / c.patchSize) ** 2;
  const traits = familyTraits[c.family];
  const shapes = new Map<string, Shape>([["patch.weight", [e, 3, c.patchSize, c.patchSize]]]);
  if (traits.patchBias) shapes.set("patch.bias", [e]);
  if (traits.classToken) shapes.set("class", [e]);
  shapes.set("position", [patches + (traits.classToken ? 1 : 0), e]);
  const pair = (name: string, shape: Shape): void =>
    void shapes.set(`${name}.weight`, shape).set(`${name}.bias`, [shape[0]!]);
  if (traits.preNorm) pair("pre_norm", [e]);
  for (let layer = 0; layer < c.layers; layer++) {
    for (const name of ["norm1", "norm2"]) pair(`layers.${layer}.${name}`, [e]);
    for (const name of ["q", "k", "v", "o"]) pair(`layers.${layer}.${name}`, [e, e]);
    pair(`layers.${layer}.fc1`, [f, e]);
    pair(`layers.${layer}.fc2`, [e, f]);
  }
  pair("post_norm", [e]);
  return shapes;
}

/** [B, 3, H, W] → [B·P, 3·p·p]: each patch a row, in reading order. */
function patchRows(pixels_B3HW: Value, patch: number): Value {
  const [b, , h, w] = pixels_B3HW.shape as [number, number, number, number];
  const [rows, columns] = [h / patch, w / patch];
  const split = reshape(pixels_B3HW, [b, 3, rows, patch, columns, patch]);
  return reshape(transpose(split, [0, 2, 4, 1, 3, 5]), [b * rows * columns, 3 * patch * patch]);
}

/** Patches, class token and positions before the first layer: pixels [B, 3, H, W] → [B, S, E]. */
export function visionEmbeddings(pixels_B3HW: Value, w: Weights, c: VisionConfig): Value {
  const b = pixels_B3HW.shape[0]!;
  const e = c.hiddenSize;
  const traits = familyTraits[c.family];
  const kernel = reshape(w("patch.weight"), [e, 3 * c.patchSize * c.patchSize]);
  const patches = linear(patchRows(pixels_B3HW, c.patchSize), kernel, traits.patchBias ? w("patch.bias") : undefined);
  const x_BPE = reshape(patches, [b, patches.shape[0]! / b, e]);
  const x_BSE = traits.classToken ? concat([expand(reshape(w("class"), [1, 1, e]), [b, 1, e]), x_BPE], 1) : x_BPE;
  const placed = add(x_BSE, w("position"));
  return traits.preNorm ? layerNorm(placed, w("pre_norm.weight"), w("pre_norm.bias"), c.layerNormEpsilon) : placed;
}

/** What a layer computes: its output, and what its large products made (worth keeping for the backward pass). */
export interface VisionLayerValues {
  readonly q_BH1SD: Value;
  readonly k_BHSD: Value;
  readonly v_BHSD: Value;
  /** rows of all pictures, N = B·S */
  readonly attended_NE: Value;
  readonly residual_BSE: Value;
  readonly inner_BSF: Value;
  readonly output_BSE: Value;
}

/** One layer: [B, S, E] → [B, S, E]; weights by their names within the layer. */
export function visionLayer(x_BSE: Value, w: Weights, c: VisionConfig): VisionLayerValues {
  const [b, s, e] = x_BSE.shape as [number, number, number];
  const norm = (x: Value, name: string): Value =>
    layerNorm(x, w(`${name}.weight`), w(`${name}.bias`), c.layerNormEpsilon);
  const project = (x: Value, name: string): Value => linear(x, w(`${name}.weight`), w(`${name}.bias`));

  const normed = reshape(norm(x_BSE, "norm1"), [b * s, e]);
  const heads = (name: string): Value => splitHeads(project(normed, name), b, c.heads, 1);
  const flat = (x: Value): Value => reshape(x, [b, c.heads, s, e / c.heads]);
  const [q_BH1SD, k_BHSD, v_BHSD] = [heads("q"), flat(heads("k")), flat(heads("v"))];
  const attended_NE = mergeHeads(attention(q_BH1SD, [{ k_BKSD: k_BHSD, v_BKSD: v_BHSD }]));
  const residual_BSE = add(x_BSE, reshape(project(attended_NE, "o"), [b, s, e]));
  const inner_BSF = project(norm(residual_BSE, "norm2"), "fc1");
  const output_BSE = add(residual_BSE, project(activations[c.activation](inner_BSF), "fc2"));
  return { q_BH1SD, k_BHSD, v_BHSD, attended_NE, residual_BSE, inner_BSF, output_BSE };
}

/** The hidden states that features are made of: 0 the embeddings, n the output of the n-th layer. */
export function chosenStates(c: VisionConfig, { layer }: Pick<FeatureConfig, "layer">): number[] {
  return [layer].flat().map((index) => (index < 0 ? c.layers + 1 + index : index));
}

/** Layers that must run for the chosen hidden states. */
export function layersNeeded(c: VisionConfig, features: Pick<FeatureConfig, "layer">): number {
  return Math.max(...chosenStates(c, features));
}

/** Weights that features depend on: the layers behind the last chosen hidden state, and the final norm, do nothing. */
export function neededWeights(c: VisionConfig, features: Pick<FeatureConfig, "layer">): string[] {
  const layers = layersNeeded(c, features);
  return [...visionShapes(c).keys()].filter((name) => {
    const inside = /^layers\.(\d+)\./.exec(name);
    return inside ? Number(inside[1]) < layers : !name.startsWith("post_norm");
  });
}

/** Hidden states [B, S, E] each → features [B, positions (-1), n·E]: "default" drops the first position of each. */
export function selectFeatures(states_BSE: readonly Value[], { select }: Pick<FeatureConfig, "select">): Value {
  const kept = states_BSE.map((x) => slice(x, 1, select === "default" ? 1 : 0, x.shape[1]!));
  return kept.length === 1 ? kept[0]! : concat(kept, 2);
}

/**
 * The chosen hidden states side by side: pixels [B, 3, H, W] → [B, positions (-1), n·E].
 * As in transformers, hidden states are taken before the final norm, and "default" drops the first position
 * of any family, a patch where there is no class token.
 */
export function visionFeatures(pixels_B3HW: Value, w: Weights, c: VisionConfig, features: FeatureConfig): Value {
  const states = [visionEmbeddings(pixels_B3HW, w, c)];
  for (let layer = 0; layer < layersNeeded(c, features); layer++) {
    states.push(visionLayer(states[layer]!, (name) => w(`layers.${layer}.${name}`), c).output_BSE);
  }
  return selectFeatures(
    chosenStates(c, features).map((at) => states[at]!),
    features,
  );
}

/** The whole tower: every layer and the final norm, [B, S, E]. */
export function visionOutput(pixels_B3HW: Value, w: Weights, c: VisionConfig): Value {
  const all = visionFeatures(pixels_B3HW, w, c, { layer: c.layers, select: "full" });
  return layerNorm(all, w("post_norm.weight"), w("post_norm.bias"), c.layerNormEpsilon);
}
