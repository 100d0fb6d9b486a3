// The projector's training programs, over a whole number of pictures.
// Shapes: R = pictures · tokens a picture, S shuffled feature width, E language width.
import { gradients } from "../autodiff/backward.ts";
import { add } from "../graph/build.ts";
import { type Graph, graph, input } from "../graph/graph.ts";
import type { LlavaConfig } from "../models/config.ts";
import { weightInputs } from "../models/lora-inputs.ts";
import { featureWidth, project, projectorShapes } from "../models/projector.ts";
import { inPlace } from "./decoder.ts";
import type { PartForm } from "./parameters.ts";

export interface ProjectorGraphs {
  /** features [R, S] → projected [R, E] */
  readonly forward: Graph;
  /** features, dprojected → `grad.NAME`; the projector is small, so its inside is computed again */
  readonly backward: Graph;
  readonly accumulate: Graph;
  /** the same three for a tower that learns: gradients of the features, and with them those of the projector */
  readonly through: Graph;
  readonly backwardThrough: Graph;
  readonly accumulateThrough: Graph;
}

export function projectorGraphs(config: LlavaConfig, rows: number, form: PartForm): ProjectorGraphs {
  const weights = weightInputs(projectorShapes(config), form.lora);
  const trained = form.trains === "weights" ? weights.weights : weights.factors;
  const width = featureWidth(config);
  const features = input("features", "float32", [rows, width]);
  const projected = project(features, weights.weight, config, weights.lowRank);
  const dprojected = input("dprojected", "float32", projected.shape);
  const [dfeatures, ...parts] = gradients(new Map([[projected, dprojected]]), [features, ...trained.values()]);
  const named = [...trained.keys()].map((name, i) => [name, parts[i]!] as const);
  const fresh = Object.fromEntries(named.map(([name, part]) => [`grad.${name}`, part]));
  const summed = Object.fromEntries(
    named.map(([name, part]) => [`grad.${name}`, add(input(`sum.${name}`, "float32", part.shape), part)]),
  );
  const back = { dfeatures: dfeatures! };
  return {
    forward: graph("projector forward", { projected }),
    backward: graph("projector backward", fresh),
    accumulate: inPlace(graph("projector backward, accumulating", summed)),
    through: graph("projector backward, frozen", back),
    backwardThrough: graph("projector backward to the features", { ...back, ...fresh }),
    accumulateThrough: inPlace(graph("projector backward to the features, accumulating", { ...back, ...summed })),
  };
}
