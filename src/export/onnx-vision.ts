// Tower and projector in one graph, as transformers.js runs them: pixels in, rows for the language model out.
// Shapes: B pictures, P patches, S = P (+1 class token), E tower's width, L language width, p patch side.
import type { ActivationName } from "../nn/activation.ts";
import type { LlavaConfig, VisionConfig } from "../models/config.ts";
import { chosenStates, layersNeeded } from "../models/vision.ts";
import type { LlavaFiles } from "../models/node.ts";
import { OnnxGraph } from "../graph/onnx-model.ts";
import { type Variant, WeightWriter } from "./onnx-weights.ts";

/** pixel_values [B, 3, H, W] → image_features [B·M, L], M tokens a picture */
export function visionGraph({ config, vision, projector }: LlavaFiles, variant: Variant): OnnxGraph {
  const { vision: c, features } = config;
  const graph = new OnnxGraph("vision_encoder");
  const pixels = graph.input("pixel_values", "float32", ["batch_size", 3, c.imageSize, c.imageSize]);
  const tower = new WeightWriter(graph, vision, variant);
  const has = (name: string): boolean => vision.shapes.has(name);
  const states = [embeddings(graph, tower, c, has, pixels)];
  for (let layer = 0; layer < layersNeeded(c, features); layer++) {
    states.push(visionLayer(graph, tower, c, `layers.${layer}.`, states[layer]!));
  }
  const kept = chosenStates(c, features).map((at) => {
    const from = features.select === "default" ? 1 : 0;
    return from === 0
      ? states[at]!
      : graph.node("Slice", [states[at]!, graph.ints([1]), graph.ints([1e9]), graph.ints([1])]);
  });
  const joined = kept.length === 1 ? kept[0]! : graph.node("Concat", kept, { ints: { axis: 2 } });
  const rows = projected(graph, new WeightWriter(graph, projector, variant), config, shuffled(graph, config, joined));
  graph.node("Reshape", [rows, graph.ints([-1, config.language.hiddenSize])], { output: "image_features" });
  graph.output("image_features", "float32", ["num_image_tokens", config.language.hiddenSize]);
  return graph;
}

function embeddings(
  g: OnnxGraph,
  w: WeightWriter,
  c: VisionConfig,
  has: (name: string) => boolean,
  pixels: string,
): string {
  const inputs = [pixels, w.plain("patch.weight"), ...(has("patch.bias") ? [w.plain("patch.bias")] : [])];
  const grid_BEhw = g.node("Conv", inputs, { ints: { strides: [c.patchSize, c.patchSize] } });
  const flat_BEP = g.node("Reshape", [grid_BEhw, g.ints([0, c.hiddenSize, -1])]);
  let x_BSE = g.node("Transpose", [flat_BEP], { ints: { perm: [0, 2, 1] } });
  if (has("class")) {
    const batch = g.node("Shape", [pixels], { ints: { start: 0, end: 1 } });
    const shape = g.node("Concat", [batch, g.ints([1, c.hiddenSize])], { ints: { axis: 0 } });
    const first = g.node("Expand", [w.plain("class", [1, 1, c.hiddenSize]), shape]);
    x_BSE = g.node("Concat", [first, x_BSE], { ints: { axis: 1 } });
  }
  const placed = g.node("Add", [x_BSE, w.plain("position")]);
  return has("pre_norm.weight") ? layerNorm(g, w, c, placed, "pre_norm") : placed;
}

function layerNorm(g: OnnxGraph, w: WeightWriter, c: VisionConfig, x: string, name: string): string {
  const options = { ints: { axis: -1 }, floats: { epsilon: c.layerNormEpsilon } };
  return g.node("LayerNormalization", [x, w.plain(`${name}.weight`), w.plain(`${name}.bias`)], options);
}

function visionLayer(g: OnnxGraph, w: WeightWriter, c: VisionConfig, prefix: string, x: string): string {
  const size = c.hiddenSize / c.heads;
  const linear = (value: string, name: string): string =>
    w.linear(value, `${prefix}${name}.weight`, `${prefix}${name}.bias`);
  const normed = layerNorm(g, w, c, x, `${prefix}norm1`);
  const heads = (name: string): string => {
    const split = g.node("Reshape", [linear(normed, name), g.ints([0, 0, c.heads, size])]);
    return g.node("Transpose", [split], { ints: { perm: [0, 2, 1, 3] } });
  };
  const q = g.node("Mul", [heads("q"), g.floats([1 / Math.sqrt(size)])]);
  const k = g.node("Transpose", [heads("k")], { ints: { perm: [0, 1, 3, 2] } });
  const p = g.node("Softmax", [g.node("MatMul", [q, k])], { ints: { axis: -1 } });
  const out = g.node("Transpose", [g.node("MatMul", [p, heads("v")])], { ints: { perm: [0, 2, 1, 3] } });
  const merged = g.node("Reshape", [out, g.ints([0, 0, c.hiddenSize])]);
  const residual = g.node("Add", [x, linear(merged, "o")]);
  const inner = activated(g, c.activation, linear(layerNorm(g, w, c, residual, `${prefix}norm2`), "fc1"));
  return g.node("Add", [residual, linear(inner, "fc2")]);
}

/** r×r neighbours side by side, as models/projector.ts has them. */
function shuffled(g: OnnxGraph, { vision, projector: { pixelShuffle: r } }: LlavaConfig, x_BPE: string): string {
  if (r === 1) return x_BPE;
  const side = vision.imageSize / vision.patchSize / r;
  const width = vision.hiddenSize;
  const blocks = g.node("Reshape", [x_BPE, g.ints([-1, side, r, side, r * width])]);
  const ordered = g.node("Transpose", [blocks], { ints: { perm: [0, 1, 3, 2, 4] } });
  return g.node("Reshape", [ordered, g.ints([-1, side * side, r * r * width])]);
}

function projected(g: OnnxGraph, w: WeightWriter, { projector }: LlavaConfig, x: string): string {
  const linear = (value: string, name: string): string =>
    w.linear(value, `${name}.weight`, projector.bias ? `${name}.bias` : undefined);
  const first = linear(x, "linear_1");
  return projector.kind === "linear" ? first : linear(activated(g, projector.activation, first), "linear_2");
}

function activated(g: OnnxGraph, name: ActivationName, x: string): string {
  if (name === "gelu") return g.node("Gelu", [x]);
  if (name === "gelu_new" || name === "gelu_pytorch_tanh")
    return g.node("Gelu", [x], { strings: { approximate: "tanh" } });
  const inner = name === "silu" ? x : g.node("Mul", [x, g.floats([1.702])]);
  return g.node("Mul", [x, g.node("Sigmoid", [inner])]);
}
