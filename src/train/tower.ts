// The vision tower's training programs: like the decoder's, one forward and one backward graph that all layers share.
// Shapes: P pictures, S positions, E hidden, W feature width, M tokens a picture.
import { gradients } from "../autodiff/backward.ts";
import { add } from "../graph/build.ts";
import { extract, type Graph, graph, input, type Value } from "../graph/graph.ts";
import type { Shape } from "../graph/tensor.ts";
import type { LlavaConfig, VisionConfig } from "../models/config.ts";
import { pixelShuffle } from "../models/projector.ts";
import { chosenStates, selectFeatures, visionEmbeddings, visionLayer, visionShapes } from "../models/vision.ts";
import { inPlace } from "./decoder.ts";

/** What a layer's forward pass keeps for its backward pass. */
export const towerSavedNames = ["q", "k", "v", "attended", "residual", "inner"] as const;

export interface TowerGraphs {
  /** pixels [P, 3, H, W] → x [P, S, E] */
  readonly embed: Graph;
  /** pixels, dx → `grad.NAME`; pictures get no gradient */
  readonly embedBackward: Graph;
  readonly embedAccumulate: Graph;
  /** x, weights → saved values and y */
  readonly layer: Graph;
  /** dy, x, saved values, weights → dx and `grad.NAME` */
  readonly layerBackward: Graph;
  readonly layerAccumulate: Graph;
  /** `state.0`, `state.1`, … in the order of the config → features [P, M, W], pixel shuffle done */
  readonly select: Graph;
  /** dfeatures → `dstate.0`, `dstate.1`, … */
  readonly selectBackward: Graph;
}

type TowerParts = Pick<LlavaConfig, "vision" | "features" | "projector">;

/** Weights before the first layer, and of one layer by their names within it. */
export function towerWeightNames(c: VisionConfig): { readonly embedding: string[]; readonly layer: string[] } {
  const names = [...visionShapes(c).keys()];
  return {
    embedding: names.filter((name) => !/^layers\.|^post_norm\./.test(name)),
    layer: names.flatMap((name) => /^layers\.0\.(.+)$/.exec(name)?.[1] ?? []),
  };
}

/** Positions of the tower's hidden states, a class token included. */
export const towerPositions = (c: VisionConfig): number => visionShapes(c).get("position")![0]!;

export function towerGraphs(config: TowerParts, pictures: number): TowerGraphs {
  const c = config.vision;
  const state: Shape = [pictures, towerPositions(c), c.hiddenSize];
  return { ...embedGraphs(c, state), ...layerGraphs(c, state), ...selectGraphs(config, state) };
}

function embedGraphs(c: VisionConfig, state: Shape): Pick<TowerGraphs, "embed" | "embedBackward" | "embedAccumulate"> {
  const shapes = visionShapes(c);
  const weights = inputsOf(towerWeightNames(c).embedding, (name) => shapes.get(name)!);
  const pixels = input("pixels", "float32", [state[0]!, 3, c.imageSize, c.imageSize]);
  const x = visionEmbeddings(pixels, (name) => weights.get(name)!, c);
  const dx = input("dx", "float32", state);
  const parts = gradients(new Map([[x, dx]]), [...weights.values()]);
  const named = [...weights.keys()].map((name, i) => [name, parts[i]!] as const);
  return {
    embed: graph("tower embeddings", { x }),
    embedBackward: graph("tower embeddings, backward", outputsOf(named)),
    embedAccumulate: inPlace(graph("tower embeddings, accumulating", outputsOf(summed(named)))),
  };
}

function layerGraphs(c: VisionConfig, state: Shape): Pick<TowerGraphs, "layer" | "layerBackward" | "layerAccumulate"> {
  const shapes = visionShapes(c);
  const weights = inputsOf(towerWeightNames(c).layer, (name) => shapes.get(`layers.0.${name}`)!);
  const x = input("x", "float32", state);
  const values = visionLayer(x, (name) => weights.get(name)!, c);
  const saved = {
    q: values.q_BH1SD,
    k: values.k_BHSD,
    v: values.v_BHSD,
    attended: values.attended_NE,
    residual: values.residual_BSE,
    inner: values.inner_BSF,
  } satisfies Record<(typeof towerSavedNames)[number], Value>;
  const dy = input("dy", "float32", state);
  const [dx, ...parts] = gradients(new Map([[values.output_BSE, dy]]), [x, ...weights.values()]);
  const named = [...weights.keys()].map((name, i) => [name, parts[i]!] as const);
  const cuts = new Map<Value, string>(Object.entries(saved).map(([name, value]) => [value, name]));
  return {
    layer: graph("tower layer", { ...saved, y: values.output_BSE }),
    layerBackward: extract("tower layer, backward", { dx: dx!, ...outputsOf(named) }, cuts),
    layerAccumulate: inPlace(extract("tower layer, accumulating", { dx: dx!, ...outputsOf(summed(named)) }, cuts)),
  };
}

function selectGraphs(
  { vision, features, projector }: TowerParts,
  shape: Shape,
): Pick<TowerGraphs, "select" | "selectBackward"> {
  const states = chosenStates(vision, features).map((_, i) => input(`state.${i}`, "float32", shape));
  const chosen = pixelShuffle(selectFeatures(states, features), projector.pixelShuffle);
  const parts = gradients(new Map([[chosen, input("dfeatures", "float32", chosen.shape)]]), states);
  return {
    select: graph("tower features", { features: chosen }),
    selectBackward: graph(
      "tower features, backward",
      Object.fromEntries(parts.map((part, i) => [`dstate.${i}`, part!])),
    ),
  };
}

type Named = readonly (readonly [name: string, gradient: Value])[];

const inputsOf = (names: readonly string[], shapeOf: (name: string) => Shape): Map<string, Value> =>
  new Map(names.map((name) => [name, input(name, "float32", shapeOf(name))]));

const summed = (named: Named): Named =>
  named.map(([name, part]) => [name, add(input(`sum.${name}`, "float32", part.shape), part)]);

const outputsOf = (named: Named): Record<string, Value> =>
  Object.fromEntries(named.map(([name, part]) => [`grad.${name}`, part]));
