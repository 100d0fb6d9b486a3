// How much memory a stage will take at its peak, from shapes alone.
import { bytesPerElement, type Shape, sizeOf } from "../graph/tensor.ts";
import { type Graph, operandsOf, type Value } from "../graph/graph.ts";
import type { LlavaConfig } from "../models/config.ts";
import { inBlocks } from "../models/quantise.ts";
import { type LayerGraphs, layerGraphs, type RowShape } from "./decoder.ts";
import { headGraphs } from "./head.ts";
import { mostHeadRows } from "./head-pass.ts";
import { type MemoryPlan, savedBy, sharedRoom } from "./memory-plan.ts";
import type { Optimiser } from "./optimisers/optimiser.ts";
import type { PartForm } from "./parameters.ts";
import { mostPrograms } from "./programs.ts";
import { layerElements, type RowLimits } from "./workspace.ts";

/** One part's weights, and what is done with them. */
export interface PartMemory {
  readonly shapes: ReadonlyMap<string, Shape>;
  readonly trains: PartForm["trains"];
  readonly optimiser: Optimiser;
  /** matrices stay in 4-bit blocks */
  readonly blocks?: boolean;
}

export interface StageMemory {
  readonly config: LlavaConfig;
  readonly language: PartMemory;
  readonly others: readonly PartMemory[];
  /** of the largest micro-batch */
  readonly room: RowLimits;
  /** how many sizes of micro-batches there are */
  readonly sizes: number;
  /** whether gradients of several micro-batches are summed */
  readonly sums: boolean;
  readonly form: PartForm;
}

/** Bytes at the peak, besides what the process holds before the stage. */
export function predictBytes(stage: StageMemory, memory: MemoryPlan): number {
  const { config, language, others, room } = stage;
  const saved = savedBy[memory.activations];
  const activations = config.language.layers * layerElements(config.language, room, saved);
  const room0 = memory.shared ? sharedRoom(config.language, room, memory.activations) : undefined;
  const held = [...language.shapes].reduce((sum, [name, shape]) => sum + (room0?.holds(name) ? sizeOf(shape) : 0), 0);
  const weights = [language, ...others].reduce((sum, part) => sum + partBytes(part), 0);
  return weights + 4 * (room0 === undefined ? activations : room0.elements - held) + programBytes(stage, memory);
}

function partBytes({ shapes, trains, optimiser, blocks }: PartMemory): number {
  let bytes = 0;
  for (const [name, shape] of shapes) {
    // 4-bit codes, a float16 scale and minimum to 32 values
    const plain = blocks === true && inBlocks(name, shape) ? 5 / 8 : 4;
    bytes += plain * sizeOf(shape);
    if (trains !== "weights") continue;
    const state = Object.values(optimiser.state(name, shape));
    bytes += 4 * sizeOf(shape) + state.reduce((sum, of) => sum + bytesPerElement[of.dtype] * sizeOf(of.shape), 0);
  }
  return bytes;
}

/** Sessions keep the working memory of their largest run. */
function programBytes({ config, room, sizes, sums, form }: StageMemory, { activations }: MemoryPlan): number {
  const shape: RowShape = { rows: Math.ceil(room.tokens / room.length), length: room.length };
  const graphs = layerGraphs(config.language, shape, form, savedBy[activations]);
  const used: (keyof LayerGraphs)[] =
    form.trains === "nothing"
      ? ["forward", "through"]
      : ["forward", "backward", ...(sums ? ["accumulate" as const] : [])];
  const layer = used.reduce((sum, name) => sum + workingBytes(graphs[name]), 0);
  const head = headGraphs(config.language, mostHeadRows);
  return (
    Math.min(sizes, mostPrograms.layers) * layer +
    workingBytes(form.trains === "weights" ? head.backward : head.through)
  );
}

/**
 * Bytes of a graph's values that live at the same time, inputs and outputs aside, when each is computed in the graph's
 * order and given up after its last use.
 */
export function workingBytes({ values, outputs }: Graph): number {
  const lastUse = new Map<Value, number>();
  values.forEach((value, at) => operandsOf(value).forEach((operand) => lastUse.set(operand, at)));
  const outside = new Set(outputs.map(({ value }) => value));
  const bytes = (value: Value): number =>
    value.node.kind === "op" && !outside.has(value) ? bytesPerElement[value.dtype] * sizeOf(value.shape) : 0;
  let [live, most] = [0, 0];
  values.forEach((value, at) => {
    live += bytes(value);
    most = Math.max(most, live);
    for (const operand of new Set(operandsOf(value))) if (lastUse.get(operand) === at) live -= bytes(operand);
  });
  return most;
}
