// Compiles a stage's programs as their shapes are first met, and keeps them.
import type { Graph } from "../graph/graph.ts";
import type { LlavaConfig } from "../models/config.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import { layerGraphs, maskGraph } from "./decoder.ts";
import { headGraphs } from "./head.ts";
import { projectorGraphs } from "./projection.ts";

type Compiled<G> = { readonly [K in keyof G]: () => Promise<Program> };

export interface Programs {
  mask(rows: number): Promise<Program>;
  layer(rows: number): Compiled<ReturnType<typeof layerGraphs>>;
  head(rows: number): Compiled<ReturnType<typeof headGraphs>>;
  projector(rows: number): Compiled<ReturnType<typeof projectorGraphs>>;
  release(): Promise<void>;
}

/** Programs for rows of `length` tokens; each is compiled on its first use only. */
export function stagePrograms(engine: Engine, config: LlavaConfig, length: number): Programs {
  const loaded = new Map<Graph, Promise<Program>>();
  const compile = (graph: Graph): Promise<Program> => {
    const program = loaded.get(graph) ?? engine.load(graph);
    loaded.set(graph, program);
    return program;
  };
  const lazily = <G extends object>(build: (rows: number) => G): ((rows: number) => Compiled<G>) => {
    const built = new Map<number, Compiled<G>>();
    return (rows) => {
      const known = built.get(rows);
      if (known) return known;
      const compiled = Object.fromEntries(
        Object.entries(build(rows)).map(([key, graph]) => [key, () => compile(graph as Graph)]),
      ) as Compiled<G>;
      built.set(rows, compiled);
      return compiled;
    };
  };
  const masks = lazily((rows: number) => ({ mask: maskGraph({ rows, length }, config.language.slidingWindow) }));
  return {
    mask: (rows) => masks(rows).mask(),
    layer: lazily((rows) => layerGraphs(config.language, { rows, length })),
    head: lazily((rows) => headGraphs(config.language, rows)),
    projector: lazily((rows) => projectorGraphs(config, rows)),
    release: async () => {
      for (const program of loaded.values()) await engine.unload(await program);
    },
  };
}
