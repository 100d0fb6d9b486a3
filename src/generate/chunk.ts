// One chunk of new tokens through all layers: its program, its buffers, and what a run writes into them.
// Shapes: T tokens of the chunk, C cache slots, E hidden, K key/value heads, D head size.
import type { LanguageConfig } from "../models/config.ts";
import type { Lora } from "../models/lora.ts";
import { rotationTables } from "../nn/rope.ts";
import { type Bindings, type Engine, type EngineBuffer, type Pass, type Program, view } from "../runtime/engine.ts";
import { layerGraph } from "./graphs.ts";
import type { KeyValueCache } from "./kv-cache.ts";
import { type ChunkMasks, fillMasks } from "./masks.ts";
import type { TokenNode } from "./prefix-tree.ts";
import { type SlotRun, slotRuns } from "./slot-runs.ts";

type Floats = EngineBuffer<"float32">;

/** What a token embeds: its id's row, or a row of a picture's projected features [M, E]. */
export type TokenSource = number | { readonly rows: Float32Array; readonly row: number };

export interface NewToken {
  readonly node: TokenNode;
  readonly source: TokenSource;
  /** its logits are wanted */
  readonly wanted: boolean;
}

/** The program and the buffers of one chunk size. */
export interface Chunk {
  readonly size: number;
  readonly program: Program;
  readonly x: readonly [Floats, Floats];
  readonly ids: EngineBuffer<"int32">;
  readonly wanted: EngineBuffer<"int32">;
  readonly cos: Floats;
  readonly sin: Floats;
  readonly pastMask: Floats;
  readonly mask: Floats;
  readonly k: Floats;
  readonly v: Floats;
  readonly masks: ChunkMasks;
  release(): Promise<void>;
}

export async function loadChunk(
  engine: Engine,
  config: LanguageConfig,
  size: number,
  capacity: number,
  lora?: Lora,
): Promise<Chunk> {
  const program = await engine.load(layerGraph(config, size, capacity, lora));
  const floats = (type: { readonly shape: readonly number[] } | undefined): Floats =>
    engine.allocate("float32", type!.shape);
  const { inputs, outputs } = program;
  const buffers = {
    cos: floats(inputs["cos"]),
    sin: floats(inputs["sin"]),
    pastMask: floats(inputs["past_mask"]),
    mask: floats(inputs["mask"]),
    k: floats(outputs["k"]),
    v: floats(outputs["v"]),
    ids: engine.allocate("int32", [size]),
    wanted: engine.allocate("int32", [size]),
  };
  const x = [floats(inputs["x"]), floats(outputs["y"])] as const;
  return {
    size,
    program,
    ...buffers,
    x,
    masks: { past: new Float32Array(size * capacity), own: new Float32Array(size * size) },
    release: async () => {
      for (const buffer of [...Object.values(buffers), ...x]) engine.free(buffer);
      await engine.unload(program);
    },
  };
}

/** A layer's weights by the names of its program's inputs. */
export interface LayerWeights {
  readonly bindings: Bindings;
  /** adds what must be done before they hold their values */
  readonly prepare: (pass: Pass) => void;
}

interface Run {
  readonly config: LanguageConfig;
  readonly chunk: Chunk;
  readonly layers: readonly LayerWeights[];
  readonly cache: KeyValueCache;
  readonly embedding: Floats;
}

/** One chunk through all layers; returns the buffer of the last layer's output [T, E]. */
export function runLayers(
  pass: Pass,
  { config, chunk, layers, cache, embedding }: Run,
  tokens: readonly NewToken[],
): Floats {
  const { program, cos, sin, pastMask, mask, k, v, masks } = chunk;
  let [x, y] = chunk.x;
  embed(
    pass,
    { size: chunk.size, ids: chunk.ids, into: x },
    embedding,
    tokens.map(({ source }) => source),
  );
  fillMasks(
    masks,
    tokens.map(({ node }) => node),
    cache.capacity,
    config.slidingWindow,
  );
  const positions = Int32Array.from({ length: chunk.size }, (_, i) => tokens[i]?.node.position ?? 0);
  const angles = rotationTables(positions, config.headSize, config.ropeBase);
  pass.write(cos, angles.cos).write(sin, angles.sin).write(pastMask, masks.past).write(mask, masks.own);
  const runs = slotRuns(tokens);
  for (const [layer, { bindings, prepare }] of layers.entries()) {
    prepare(pass);
    const past = { past_k: cache.k[layer]!, past_v: cache.v[layer]!, past_mask: pastMask };
    pass.run(program, { x, cos, sin, mask, ...past, ...bindings }, { y, k, v });
    for (const run of runs) {
      const copy = blockCopy(run, config, chunk.size, cache.capacity);
      pass.call({ ...copy, from: k, into: past.past_k }).call({ ...copy, from: v, into: past.past_v });
    }
    [x, y] = [y, x];
  }
  return x;
}

/** Where embedded tokens go: `size` rows of `into` [size, E]. */
export interface EmbeddingSpace {
  readonly size: number;
  readonly ids: EngineBuffer<"int32">;
  readonly into: Floats;
}

/** Embeds tokens: rows of the table, rows of pictures. Rows to spare embed token 0, unseen. */
export function embed(
  pass: Pass,
  { size, ids, into }: EmbeddingSpace,
  table: Floats,
  sources: readonly TokenSource[],
): void {
  const width = table.shape[1]!;
  pass.write(
    ids,
    Int32Array.from({ length: size }, (_, i) => (typeof sources[i] === "number" ? sources[i] : 0)),
  );
  pass.call({ kernel: "gatherRows", table, ids, into });
  for (let start = 0; start < sources.length; start++) {
    const first = sources[start]!;
    if (typeof first === "number") continue;
    const follows = (source: TokenSource | undefined, by: number): boolean =>
      typeof source === "object" && source.rows === first.rows && source.row === first.row + by;
    let count = 1;
    while (follows(sources[start + count], count)) count++;
    const rows = first.rows.subarray(first.row * width, (first.row + count) * width);
    pass.write(view(into, [count, width], start * width), rows);
    start += count - 1;
  }
}

function blockCopy(
  { row, slot, count }: SlotRun,
  { keyValueHeads, headSize }: LanguageConfig,
  size: number,
  capacity: number,
) {
  return {
    kernel: "copyBlocks",
    blocks: keyValueHeads,
    length: count * headSize,
    fromStride: size * headSize,
    intoStride: capacity * headSize,
    fromOffset: row * headSize,
    intoOffset: slot * headSize,
  } as const;
}

/** Gathers the wanted rows of a chunk's output; returns how many. */
export function gatherWanted(
  pass: Pass,
  chunk: Chunk,
  output: Floats,
  tokens: readonly NewToken[],
  into: Floats,
): number {
  const rows = tokens.flatMap(({ wanted }, row) => (wanted ? [row] : []));
  if (rows.length === 0) return 0;
  const ids = view(chunk.wanted, [rows.length]);
  const target = view(into, [rows.length, into.shape[1]!]);
  pass.write(ids, Int32Array.from(rows)).call({ kernel: "gatherRows", table: output, ids, into: target });
  return rows.length;
}
