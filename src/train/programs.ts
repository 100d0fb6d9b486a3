// Compiles a stage's programs as their shapes are first met, and keeps them.
import { LlavaError } from "../errors.ts";
import type { Graph } from "../graph/graph.ts";
import type { LlavaConfig } from "../models/config.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import { layerGraphs, maskGraph, type RowShape, type SavedName } from "./decoder.ts";
import { headGraphs } from "./head.ts";
import type { PartForm } from "./parameters.ts";
import { projectorGraphs } from "./projection.ts";
import { towerGraphs } from "./tower.ts";

type Compiled<G> = { readonly [K in keyof G]: () => Promise<Program> };

export interface Programs {
  mask(shape: RowShape): Promise<Program>;
  layer(shape: RowShape): Compiled<ReturnType<typeof layerGraphs>>;
  head(rows: number): Compiled<ReturnType<typeof headGraphs>>;
  projector(rows: number): Compiled<ReturnType<typeof projectorGraphs>>;
  tower(pictures: number): Compiled<ReturnType<typeof towerGraphs>>;
  release(): Promise<void>;
}

/**
 * How many sizes are kept compiled. A session holds on to the working memory of its runs (about 100 MB for a layer of
 * 1,024 tokens), compiling again takes a tenth of a second: so the sizes used last are kept, and no more.
 * A pass may use two sizes of the head.
 */
export const mostPrograms = { layers: 6, heads: 3, projectors: 6, towers: 3 };

/**
 * Each program is compiled on its first use.
 * @param saved what a layer's forward pass leaves for its backward pass
 */
export function stagePrograms(
  engine: Engine,
  config: LlavaConfig,
  forms: Readonly<Record<"projector" | "language", PartForm>>,
  saved: readonly SavedName[],
): Programs {
  const loaded = new Map<Graph, Promise<Program>>();
  const compile = (graph: Graph): Promise<Program> => {
    const program = loaded.get(graph) ?? engine.load(graph);
    loaded.set(graph, program);
    return program;
  };
  const unload = async (graph: Graph): Promise<void> => {
    const program = loaded.get(graph);
    loaded.delete(graph);
    if (program) await engine.unload(await program);
  };
  const lazily = <K, G extends object>(most: number, build: (size: K) => G): ((size: K) => Compiled<G>) => {
    // in the order of their last use
    const built = new Map<string, { readonly graphs: G; readonly compiled: Compiled<G> }>();
    return (size) => {
      const key = JSON.stringify(size);
      const entry = built.get(key) ?? compiledLater(build(size), compile);
      built.delete(key);
      built.set(key, entry);
      const [oldest] = built;
      if (built.size > most && oldest) {
        built.delete(oldest[0]);
        // the engine works in order: what was posted before still finds its programs
        for (const graph of Object.values(oldest[1].graphs)) unload(graph as Graph).catch(ignoreClosed);
      }
      return entry.compiled;
    };
  };
  const masks = lazily(mostPrograms.layers, (shape: RowShape) => ({
    mask: maskGraph(shape, config.language.slidingWindow),
  }));
  return {
    mask: (shape) => masks(shape).mask(),
    layer: lazily(mostPrograms.layers, (shape: RowShape) => layerGraphs(config.language, shape, forms.language, saved)),
    head: lazily(mostPrograms.heads, (rows: number) => headGraphs(config.language, rows)),
    projector: lazily(mostPrograms.projectors, (rows: number) => projectorGraphs(config, rows, forms.projector)),
    tower: lazily(mostPrograms.towers, (pictures: number) => towerGraphs(config, pictures)),
    release: async () => {
      for (const program of loaded.values()) await engine.unload(await program);
    },
  };
}

function compiledLater<G extends object>(
  graphs: G,
  compile: (graph: Graph) => Promise<Program>,
): { graphs: G; compiled: Compiled<G> } {
  const later = Object.entries(graphs).map(([name, graph]) => [name, () => compile(graph as Graph)]);
  return { graphs, compiled: Object.fromEntries(later) as Compiled<G> };
}

/** An engine that was closed meanwhile holds no programs. */
function ignoreClosed(error: unknown): void {
  if (!(error instanceof LlavaError && error.code === "ENGINE_CLOSED")) throw error;
}
