// The whole model as one graph that autodiff goes through: pixels and ids in; features, logits, loss and every gradient out.
// Shapes: B rows of T tokens, N = B·T, P pictures, M trained tokens, E language width, V vocabulary.
import { gradients } from "../autodiff/backward.ts";
import { gather, matMul, mean, reshape, rmsNorm, swapLast, where } from "../graph/build.ts";
import { constant, type Graph, graph, input, type Value } from "../graph/graph.ts";
import { floats, type Shape, sizeOf } from "../graph/tensor.ts";
import type { LlavaConfig } from "../models/config.ts";
import {
  decoderLayer,
  embeddingName,
  finalNormName,
  headName,
  languageShapes,
  layerPrefix,
  type Weights,
} from "../models/llama.ts";
import { checkpointName, type ModelPart } from "../models/names.ts";
import { pixelShuffle, project, projectorShapes } from "../models/projector.ts";
import { visionFeatures, visionShapes } from "../models/vision.ts";
import { crossEntropy } from "../nn/loss.ts";
import { maskGraph, type RowShape } from "./decoder.ts";

export interface WholeShape extends RowShape {
  readonly pictures: number;
  /** trained tokens; without them nothing but the forward pass up to the logits is computed */
  readonly targets: number;
}

/** Every weight of a model by its name in a checkpoint. */
export function wholeShapes(config: LlavaConfig): Map<string, Shape> {
  const parts: [ModelPart, ReadonlyMap<string, Shape>][] = [
    ["vision", visionShapes(config.vision)],
    ["projector", projectorShapes(config)],
    ["language", languageShapes(config.language)],
  ];
  return new Map(
    parts.flatMap(([part, shapes]) =>
      [...shapes].map(([name, shape]) => [checkpointName(part, name, config.vision.family), shape] as const),
    ),
  );
}

/**
 * Inputs: pixels [P, 3, S, S]; ids, picture_rows [N], is_picture [N, 1] (which row of the projected features stands
 * there); documents, branches, positions [B, T]; cos, sin; target_rows [M], target_ids [M, 1]; weights by their checkpoint names.
 * Outputs: tower_features, projected, logits [N, V], loss, and `grad.NAME` of every weight that the loss depends on.
 */
export function wholeGraph(config: LlavaConfig, shape: WholeShape): Graph {
  const weights = new Map([...wholeShapes(config)].map(([name, of]) => [name, input(name, "float32", of)]));
  const part =
    (which: ModelPart): Weights =>
    (name) =>
      weights.get(checkpointName(which, name, config.vision.family))!;
  const seen = shape.pictures > 0 ? sight(config, shape.pictures, part) : undefined;
  const logits_NV = decode(config, shape, part("language"), seen?.projected);
  const forward = { ...seen, logits: logits_NV };
  if (shape.targets === 0) return graph("whole model, forward", forward);
  const targets_MV = gather(logits_NV, input("target_rows", "int32", [shape.targets]));
  const { loss_N1 } = crossEntropy(targets_MV, input("target_ids", "int32", [shape.targets, 1]));
  const loss = reshape(mean(loss_N1, [0]), [1]);
  const found = gradients(new Map([[loss, constant(floats([1], [1]))]]), [...weights.values()]);
  const named = [...weights.keys()].flatMap((name, i) => (found[i] ? [[`grad.${name}`, found[i]] as const] : []));
  return graph("whole model", { ...forward, loss, ...Object.fromEntries(named) });
}

function sight(
  config: LlavaConfig,
  pictures: number,
  part: (which: ModelPart) => Weights,
): { tower_features: Value; projected: Value } {
  const { imageSize } = config.vision;
  const pixels = input("pixels", "float32", [pictures, 3, imageSize, imageSize]);
  const tower = visionFeatures(pixels, part("vision"), config.vision, config.features);
  const projected = project(pixelShuffle(tower, config.projector.pixelShuffle), part("projector"), config);
  return { tower_features: tower, projected };
}

function decode(config: LlavaConfig, shape: WholeShape, w: Weights, projected?: Value): Value {
  const c = config.language;
  const { rows, length } = shape;
  const n = rows * length;
  const angles = (name: string): Value => input(name, "float32", [rows, 1, 1, length, c.headSize / 2]);
  const context = {
    batch: rows,
    rotation: { cos: angles("cos"), sin: angles("sin") },
    mask: maskGraph(shape, c.slidingWindow).outputs[0]!.value,
  };
  const text_NE = gather(w(embeddingName), input("ids", "int32", [n]));
  let x_NE = projected === undefined ? text_NE : withPictures(text_NE, projected);
  for (let layer = 0; layer < c.layers; layer++) {
    x_NE = decoderLayer(x_NE, (name) => w(layerPrefix(layer) + name), c, context).output_NE;
  }
  return matMul(rmsNorm(x_NE, w(finalNormName), c.rmsNormEpsilon), swapLast(w(headName(c))));
}

function withPictures(text_NE: Value, projected_PME: Value): Value {
  const [n, e] = text_NE.shape as [number, number];
  const rows = reshape(projected_PME, [sizeOf(projected_PME.shape) / e, e]);
  return where(input("is_picture", "bool", [n, 1]), gather(rows, input("picture_rows", "int32", [n])), text_NE);
}
