// Compiles a stage's programs as their shapes are first met, and keeps them.
import type { Graph } from "../graph/graph.ts";
import type { LlavaConfig } from "../models/config.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import { layerGraphs, maskGraph, type RowShape } from "./decoder.ts";
import { headGraphs } from "./head.ts";
import { projectorGraphs } from "./projection.ts";

type Compiled<G> = { readonly [K in keyof G]: () => Promise<Program> };

export interface Programs {
  mask(shape: RowShape): Promise<Program>;
  layer(shape: RowShape): Compiled<ReturnType<typeof layerGraphs>>;
  head(rows: number): Compiled<ReturnType<typeof headGraphs>>;
  projector(rows: number): Compiled<ReturnType<typeof projectorGraphs>>;
  release(): Promise<void>;
}

/** Each program is compiled on its first use only. */
export function stagePrograms(engine: Engine, config: LlavaConfig): Programs {
  const loaded = new Map<Graph, Promise<Program>>();
  const compile = (graph: Graph): Promise<Program> => {
    const program = loaded.get(graph) ?? engine.load(graph);
    loaded.set(graph, program);
    return program;
  };
  const lazily = <K, G extends object>(build: (size: K) => G): ((size: K) => Compiled<G>) => {
    const built = new Map<string, Compiled<G>>();
    return (size) => {
      const key = JSON.stringify(size);
      const known = built.get(key);
      if (known) return known;
      const graphs = Object.entries(build(size));
      const compiled = Object.fromEntries(
        graphs.map(([name, graph]) => [name, () => compile(graph as Graph)]),
      ) as Compiled<G>;
      built.set(key, compiled);
      return compiled;
    };
  };
  const masks = lazily((shape: RowShape) => ({ mask: maskGraph(shape, config.language.slidingWindow) }));
  return {
    mask: (shape) => masks(shape).mask(),
    layer: lazily((shape: RowShape) => layerGraphs(config.language, shape)),
    head: lazily((rows: number) => headGraphs(config.language, rows)),
    projector: lazily((rows: number) => projectorGraphs(config, rows)),
    release: async () => {
      for (const program of loaded.values()) await engine.unload(await program);
    },
  };
}
