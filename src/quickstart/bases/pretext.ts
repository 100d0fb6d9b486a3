// The task that the tiny vision tower learns on: every patch says which noun and which colour it shows.
// Shapes: B pictures, P patches, N = B·P rows, E hidden, C classes of both questions side by side.
import { gradients } from "../../autodiff/backward.ts";
import type { Random } from "../../data/random.ts";
import { concat, log, multiply, negate, softmax, split, subtract, sum } from "../../graph/build.ts";
import { type Graph, graph, input, type Value } from "../../graph/graph.ts";
import type { Shape } from "../../graph/tensor.ts";
import { fitPixels, preprocess } from "../../image/preprocess.ts";
import type { Preprocessor } from "../../image/preprocessor.ts";
import type { VisionConfig } from "../../models/config.ts";
import { visionFeatures, visionShapes } from "../../models/vision.ts";
import { linear } from "../../nn/linear.ts";
import { reshape } from "../../graph/build.ts";
import { pictureSide, sceneRgb } from "../draw.ts";
import { nouns } from "../scenes.ts";
import { makeCrowdedScene, patchClasses, patchColours, patchNouns } from "./crowded.ts";

/** Background patches are many and easy: they count less. */
const backgroundWeight = 0.3;
const questions = [patchNouns, patchColours] as const;
const classes = patchNouns + patchColours;

/** A drawn picture fitted to the tower, before normalising, and its patches' classes. */
export interface Example {
  readonly pixels: Uint8Array;
  readonly nouns: Uint8Array;
  readonly colours: Uint8Array;
}

/** The tower's weights that its patches' features need, and the head that names their classes. */
export function pretextShapes(config: VisionConfig): Map<string, Shape> {
  const tower = [...visionShapes(config)].filter(([name]) => !name.startsWith("post_norm"));
  return new Map([...tower, ["head.weight", [classes, config.hiddenSize]], ["head.bias", [classes]]]);
}

/**
 * pixels [B, 3, H, W], targets [N, C] (one-hot times the patch's weight, for each question) → loss [1, 1] and the
 * gradient of every weight, `grad.NAME`. The gradient of softmax and cross-entropy is weight · probability − target.
 */
export function pretextGraph(config: VisionConfig, batch: number): Graph {
  const weights = new Map([...pretextShapes(config)].map(([name, shape]) => [name, input(name, "float32", shape)]));
  const weight = (name: string): Value => weights.get(name)!;
  const pixels = input("pixels", "float32", [batch, 3, config.imageSize, config.imageSize]);
  const features_BPE = visionFeatures(pixels, weight, config, { layer: config.layers, select: "default" });
  const rows = batch * (config.imageSize / config.patchSize) ** 2;
  const logits_NC = linear(
    reshape(features_BPE, [rows, config.hiddenSize]),
    weight("head.weight"),
    weight("head.bias"),
  );
  const targets_NC = input("targets", "float32", [rows, classes]);
  const targets = split(targets_NC, 1, questions);
  const probabilities = split(logits_NC, 1, questions).map(softmax);
  const seeds = targets.map((t, i) => subtract(multiply(probabilities[i]!, sum(t, [1])), t));
  const gains = targets.map((t, i) => sum(multiply(t, log(probabilities[i]!)), [0, 1]));
  const parts = gradients(new Map([[logits_NC, concat(seeds, 1)]]), [...weights.values()]);
  const named = [...weights.keys()].map((name, i) => [`grad.${name}`, parts[i]!] as const);
  return graph("tower pretext", {
    loss: negate(gains.reduce((a, b) => subtract(a, negate(b)))),
    ...Object.fromEntries(named),
  });
}

/** Draws one crowded scene as the tower will see it. */
export async function drawExample(
  seed: number,
  index: number,
  config: VisionConfig,
  fit: Preprocessor,
): Promise<Example> {
  const scene = makeCrowdedScene(seed, index);
  const drawn = { width: pictureSide, height: pictureSide, data: await sceneRgb(scene) };
  return { pixels: fitPixels(drawn, fit).data, ...patchClasses(scene, config.imageSize / config.patchSize) };
}

/** One batch of examples as the graph's inputs; half of the batches are mirrored. */
export function pretextBatch(
  examples: readonly Example[],
  { imageSize, patchSize }: VisionConfig,
  fit: Preprocessor,
  stream: Random,
): { pixels: Float32Array<ArrayBuffer>; targets: Float32Array<ArrayBuffer> } {
  const side = imageSize / patchSize;
  const mirror = stream.chance(0.5);
  const pixels = new Float32Array(examples.length * 3 * imageSize ** 2);
  const targets = new Float32Array(examples.length * side * side * classes);
  let total = 0;
  for (const [i, example] of examples.entries()) {
    const data = mirror ? mirrored(example.pixels, imageSize, 3) : example.pixels;
    pixels.set(preprocess({ width: imageSize, height: imageSize, data }, fit), i * 3 * imageSize ** 2);
    const nounOf = mirror ? mirrored(example.nouns, side, 1) : example.nouns;
    const colourOf = mirror ? mirrored(example.colours, side, 1) : example.colours;
    for (const [patch, noun] of nounOf.entries()) {
      const weight = noun < nouns.length ? 1 : backgroundWeight;
      const row = (i * side * side + patch) * classes;
      targets[row + noun] = weight;
      targets[row + patchNouns + colourOf[patch]!] = weight;
      total += weight;
    }
  }
  for (let i = 0; i < targets.length; i++) targets[i]! /= total;
  return { pixels, targets };
}

/** A square of `side` × `side` places with `depth` bytes each, left and right swapped. */
function mirrored(square: Uint8Array, side: number, depth: number): Uint8Array {
  const out = new Uint8Array(square.length);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const from = (row * side + column) * depth;
      out.set(square.subarray(from, from + depth), (row * side + side - 1 - column) * depth);
    }
  }
  return out;
}
