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

function embeddings(pixels_B3HW: Value, w: Weights, c: VisionConfig): Value {
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

function encoderLayer(x_BSE: Value, w: Weights, c: VisionConfig): Value {
  const [b, s, e] = x_BSE.shape as [number, number, number];
  const norm = (x: Value, name: string): Value =>
    layerNorm(x, w(`${name}.weight`), w(`${name}.bias`), c.layerNormEpsilon);
  const project = (x: Value, name: string): Value => linear(x, w(`${name}.weight`), w(`${name}.bias`));

  const normed = reshape(norm(x_BSE, "norm1"), [b * s, e]);
  const heads = (name: string): Value => splitHeads(project(normed, name), b, c.heads, 1);
  const flat = (x: Value): Value => reshape(x, [b, c.heads, s, e / c.heads]);
  const attended = mergeHeads(attention(heads("q"), [{ k_BKSD: flat(heads("k")), v_BKSD: flat(heads("v")) }]));
  const residual = add(x_BSE, reshape(project(attended, "o"), [b, s, e]));
  const hidden = activations[c.activation](project(norm(residual, "norm2"), "fc1"));
  return add(residual, project(hidden, "fc2"));
}

/** Layers that must run for a feature layer: hidden states are the embeddings, then each layer's output. */
export function layersNeeded(c: VisionConfig, layer: number): number {
  return layer < 0 ? c.layers + 1 + layer : layer;
}

/**
 * The chosen hidden state: pixels [B, 3, H, W] → [B, positions (-1), E].
 * As in transformers, hidden states are taken before the final norm, and "default" drops the first position
 * of any family, a patch where there is no class token.
 */
export function visionFeatures(pixels_B3HW: Value, w: Weights, c: VisionConfig, features: FeatureConfig): Value {
  let x_BSE = embeddings(pixels_B3HW, w, c);
  for (let layer = 0; layer < layersNeeded(c, features.layer); layer++) {
    x_BSE = encoderLayer(x_BSE, (name) => w(`layers.${layer}.${name}`), c);
  }
  return slice(x_BSE, 1, features.select === "default" ? 1 : 0, x_BSE.shape[1]!);
}

/** The whole tower: every layer and the final norm, [B, S, E]. */
export function visionOutput(pixels_B3HW: Value, w: Weights, c: VisionConfig): Value {
  const all = visionFeatures(pixels_B3HW, w, c, { layer: c.layers, select: "full" });
  return layerNorm(all, w("post_norm.weight"), w("post_norm.bias"), c.layerNormEpsilon);
}
