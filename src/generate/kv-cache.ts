// The key/value cache: two buffers a layer, whose rows are the slots that the prefix tree gives out.
// Shapes: K key/value heads, C slots, D head size.
import type { LanguageConfig } from "../models/config.ts";
import type { Engine, EngineBuffer, Pass } from "../runtime/engine.ts";

type Floats = EngineBuffer<"float32">;

export interface KeyValueCache {
  readonly capacity: number;
  /** [K, C, D] of each layer */
  readonly k: readonly Floats[];
  readonly v: readonly Floats[];
  release(): void;
}

/** A zeroed cache: what was never written must stay finite, as hidden slots are multiplied by 0. */
export function allocateCache(engine: Engine, c: LanguageConfig, capacity: number): KeyValueCache {
  const perLayer = (): Floats[] =>
    Array.from({ length: c.layers }, () => engine.allocate("float32", [c.keyValueHeads, capacity, c.headSize]));
  const [k, v] = [perLayer(), perLayer()];
  return { capacity, k, v, release: () => [...k, ...v].forEach((buffer) => engine.free(buffer)) };
}

/** Copies all slots of a smaller cache. */
export function copyCache(
  pass: Pass,
  from: KeyValueCache,
  into: KeyValueCache,
  { keyValueHeads, headSize }: LanguageConfig,
): void {
  const [fromStride, intoStride] = [from.capacity * headSize, into.capacity * headSize];
  const shape = { kernel: "copyBlocks", blocks: keyValueHeads, length: fromStride, fromStride, intoStride } as const;
  for (const [layer, k] of from.k.entries()) {
    pass.call({ ...shape, from: k, into: into.k[layer]! });
    pass.call({ ...shape, from: from.v[layer]!, into: into.v[layer]! });
  }
}
