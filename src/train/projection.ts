// The projector's training programs, over a whole number of pictures.
// Shapes: R = pictures · tokens a picture, S shuffled feature width, E language width.
import { gradients } from "../autodiff/backward.ts";
import { add } from "../graph/build.ts";
import { type Graph, graph, input } from "../graph/graph.ts";
import type { LlavaConfig } from "../models/config.ts";
import { project, projectorShapes } from "../models/projector.ts";
import { inPlace } from "./decoder.ts";

export interface ProjectorGraphs {
  /** features [R, S] → projected [R, E] */
  readonly forward: Graph;
  /** features, dprojected → `grad.NAME`; the projector is small, so its inside is computed again */
  readonly backward: Graph;
  readonly accumulate: Graph;
}

export function projectorGraphs(config: LlavaConfig, rows: number): ProjectorGraphs {
  const weights = new Map([...projectorShapes(config)].map(([name, shape]) => [name, input(name, "float32", shape)]));
  const width = config.vision.hiddenSize * config.projector.pixelShuffle ** 2;
  const projected = project(input("features", "float32", [rows, width]), (name) => weights.get(name)!, config);
  const dprojected = input("dprojected", "float32", projected.shape);
  const parts = gradients(new Map([[projected, dprojected]]), [...weights.values()]);
  const named = [...weights.keys()].map((name, i) => [name, parts[i]!] as const);
  return {
    forward: graph("projector forward", { projected }),
    backward: graph("projector backward", Object.fromEntries(named.map(([name, part]) => [`grad.${name}`, part]))),
    accumulate: inPlace(
      graph(
        "projector backward, accumulating",
        Object.fromEntries(
          named.map(([name, part]) => [`grad.${name}`, add(input(`sum.${name}`, "float32", part.shape), part)]),
        ),
      ),
    ),
  };
}
