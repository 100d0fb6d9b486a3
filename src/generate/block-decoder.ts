// A decoder whose weights lie in a model file as blocks of few bits: one run takes new tokens through all layers.
// Shapes: T new tokens, C cache slots, P of them read, R rows that want logits, E hidden, K key/value heads, D head size, L layers.
import type { LanguageConfig } from "../models/config.ts";
import { rotationTables } from "../nn/rope.ts";
import {
  type Bindings,
  type Engine,
  type EngineBuffer,
  type ModelFile,
  type Pass,
  type Program,
  view,
} from "../runtime/engine.ts";
import { cacheParts, scratchSlots } from "./block-graph.ts";
import type { NewToken } from "./chunk.ts";
import { largestChunk } from "./chunk-sizes.ts";
import type { Decoder, Slots } from "./decoder.ts";
import { fillMasks } from "./masks.ts";
import { slotRuns } from "./slot-runs.ts";

type Floats = EngineBuffer<"float32">;

/** A language model in blocks, as `blockGraph` made it, and what its tokens embed. */
export interface BlockModel {
  readonly file: ModelFile;
  /** writes a token's row [E] */
  readonly embed: (id: number, into: Float32Array) => void;
}

/** Loads the model. Throws `ENGINE_COMPILE`. */
export async function createBlockDecoder(engine: Engine, config: LanguageConfig, model: BlockModel): Promise<Decoder> {
  return new BlockDecoder(engine, config, model, await engine.loadFile(model.file));
}

interface Cache {
  readonly capacity: number;
  /** [2L, K, C + scratch, D]: each layer's keys, then its values */
  readonly buffer: Floats;
  /** the same by the program's inputs, and by its outputs */
  readonly past: Bindings;
  readonly present: Bindings;
  /** [C + scratch, D/2]: angles of all positions */
  readonly cos: Floats;
  readonly sin: Floats;
  release(): void;
}

class BlockDecoder implements Decoder {
  readonly #engine: Engine;
  readonly #config: LanguageConfig;
  readonly #model: BlockModel;
  readonly #program: Program;
  readonly #buffers: Buffers;
  /** [rows, V] */
  #logits: Floats;
  /** [T, C + T] of the most tokens */
  #bias: Floats | undefined;
  #cache: Cache | undefined;

  constructor(engine: Engine, config: LanguageConfig, model: BlockModel, program: Program) {
    this.#engine = engine;
    this.#config = config;
    this.#model = model;
    this.#program = program;
    this.#buffers = allocateBuffers(engine, config);
    this.#logits = engine.allocate("float32", [1, config.vocabSize]);
  }

  async run(tokens: readonly NewToken[], { capacity, used }: Slots): Promise<Float32Array[]> {
    const pass = this.#engine.pass();
    const old = this.#cache;
    const cache = this.#fit(pass, capacity);
    const rows = tokens.flatMap(({ wanted }, row) => (wanted ? [BigInt(row)] : []));
    // the head wants a row at least; nobody reads this one
    const asked = rows.length === 0 ? [0n] : rows;
    const logits = this.#logitsOf(asked.length);
    this.#write(pass, { tokens, rows: asked, past: pastOf(tokens, used) }, cache, logits);
    if (rows.length > 0) pass.read("logits", logits);
    const results = pass.submit();
    // freed behind the pass that copies it
    if (old !== cache) old?.release();
    const { logits: read } = await results;
    const width = this.#config.vocabSize;
    return rows.map((_, i) => (read!.data as Float32Array).subarray(i * width, (i + 1) * width));
  }

  reset(): void {
    this.#cache?.release();
    this.#cache = undefined;
  }

  async release(): Promise<void> {
    this.reset();
    for (const buffer of [...Object.values(this.#buffers), this.#logits]) this.#engine.free(buffer as EngineBuffer);
    if (this.#bias) this.#engine.free(this.#bias);
    await this.#engine.unload(this.#program);
  }

  /** Fills the program's inputs, runs it, and puts the new keys and values from behind the past into their slots. */
  #write(pass: Pass, { tokens, rows, past }: Work, cache: Cache, logits: Floats): void {
    const { hiddenSize, headSize, keyValueHeads, layers } = this.#config;
    const count = tokens.length;
    const given = this.#buffers;
    const inputs = {
      x: view(given.x, [1, count, hiddenSize]),
      cos: cache.cos,
      sin: cache.sin,
      positions: view(given.positions, [1, count]),
      keys: given.keys,
      all_keys: given.allKeys,
      bias: this.#biasOf(count, past, cache.capacity),
      wanted: view(given.wanted, [rows.length]),
    };
    const positions = BigInt64Array.from(tokens, ({ node }) => BigInt(node.position));
    pass.write(inputs.positions, positions).write(inputs.bias, this.#seen(tokens, past));
    pass.write(inputs.x, this.#embedded(tokens)).write(inputs.wanted, BigInt64Array.from(rows));
    pass.write(inputs.keys, Int32Array.of(past + count - 1)).write(inputs.all_keys, Int32Array.of(past + count));
    pass.run(this.#program, { ...inputs, ...cache.past }, { logits, ...cache.present });
    const stride = (cache.capacity + scratchSlots) * headSize;
    const { buffer } = cache;
    for (const { row, slot, count: length } of slotRuns(tokens)) {
      // it lies where it belongs
      if (past + row === slot) continue;
      pass.call({
        ...{ kernel: "copyBlocks", from: buffer, into: buffer, blocks: 2 * layers * keyValueHeads },
        ...{ length: length * headSize, fromStride: stride, intoStride: stride },
        fromOffset: (past + row) * headSize,
        intoOffset: slot * headSize,
      });
    }
  }

  #embedded(tokens: readonly NewToken[]): Float32Array {
    const width = this.#config.hiddenSize;
    const rows = new Float32Array(tokens.length * width);
    for (const [i, { source }] of tokens.entries()) {
      const into = rows.subarray(i * width, (i + 1) * width);
      if (typeof source === "number") this.#model.embed(source, into);
      else into.set(source.rows.subarray(source.row * width, (source.row + 1) * width));
    }
    return rows;
  }

  /** Who sees whom, [T, P + T]. */
  #seen(tokens: readonly NewToken[], past: number): Float32Array {
    const count = tokens.length;
    const masks = { past: new Float32Array(count * past), own: new Float32Array(count * count) };
    const nodes = tokens.map(({ node }) => node);
    fillMasks(masks, nodes, past, this.#config.slidingWindow);
    const width = past + count;
    const joint = new Float32Array(count * width);
    for (let row = 0; row < count; row++) {
      joint.set(masks.past.subarray(row * past, (row + 1) * past), row * width);
      joint.set(masks.own.subarray(row * count, (row + 1) * count), row * width + past);
    }
    return joint;
  }

  #biasOf(count: number, past: number, capacity: number): Floats {
    const most = largestChunk * (capacity + largestChunk);
    if (this.#bias?.shape[0] !== most) {
      if (this.#bias) this.#engine.free(this.#bias);
      this.#bias = this.#engine.allocate("float32", [most]);
    }
    return view(this.#bias, [1, 1, count, past + count]);
  }

  #logitsOf(rows: number): Floats {
    const { vocabSize } = this.#config;
    if (this.#logits.shape[0]! < rows) {
      this.#engine.free(this.#logits);
      this.#logits = this.#engine.allocate("float32", [2 ** Math.ceil(Math.log2(rows)), vocabSize]);
    }
    return view(this.#logits, [rows, vocabSize]);
  }

  /** A cache of the wanted capacity, with what the smaller one held; zeroed, as hidden slots are multiplied by 0. */
  #fit(pass: Pass, capacity: number): Cache {
    const old = this.#cache;
    if (old?.capacity === capacity) return old;
    const { keyValueHeads, headSize, layers, ropeBase } = this.#config;
    const [blocks, slots] = [2 * layers * keyValueHeads, capacity + scratchSlots];
    const buffer = this.#engine.allocate("float32", [blocks, slots, headSize]);
    if (old) {
      const [length, fromStride] = [old.capacity * headSize, (old.capacity + scratchSlots) * headSize];
      const call = { kernel: "copyBlocks", from: old.buffer, into: buffer, blocks, length, fromStride } as const;
      pass.call({ ...call, intoStride: slots * headSize });
    }
    const parts = cacheParts(this.#config).map((name, i) => {
      return [name, view(buffer, [1, keyValueHeads, slots, headSize], i * keyValueHeads * slots * headSize)] as const;
    });
    const named = (when: string): Bindings =>
      Object.fromEntries(parts.map(([name, part]) => [`${when}_${name}`, part]));
    const angles = rotationTables(
      Int32Array.from({ length: slots }, (_, i) => i),
      headSize,
      ropeBase,
    );
    const cos = this.#engine.allocate("float32", [slots, headSize / 2]);
    const sin = this.#engine.allocate("float32", [slots, headSize / 2]);
    pass.write(cos, angles.cos).write(sin, angles.sin);
    const release = (): void => [buffer, cos, sin].forEach((each) => this.#engine.free(each));
    return (this.#cache = { capacity, buffer, past: named("past"), present: named("present"), cos, sin, release });
  }
}

/** What one run computes. */
interface Work {
  readonly tokens: readonly NewToken[];
  /** those whose logits are read */
  readonly rows: readonly bigint[];
  /** slots that are read; the new tokens' keys and values come behind them */
  readonly past: number;
}

/**
 * All slots in use, but the new tokens' own where those are the last and in order: then nothing is to be moved.
 * At least one is read: the kernel takes a run that reads none for one whole prompt, whatever the bias says.
 */
function pastOf(tokens: readonly NewToken[], used: number): number {
  const before = used - tokens.length;
  return before > 0 && tokens.every(({ node }, i) => node.slot === before + i) ? before : used;
}

interface Buffers {
  readonly x: Floats;
  readonly positions: EngineBuffer<"int64">;
  readonly wanted: EngineBuffer<"int64">;
  /** how many keys there are, the last new token's left out, and how many in all */
  readonly keys: EngineBuffer<"int32">;
  readonly allKeys: EngineBuffer<"int32">;
}

/** Room for the most tokens of one run. */
function allocateBuffers(engine: Engine, c: LanguageConfig): Buffers {
  const floats = (...shape: readonly number[]): Floats => engine.allocate("float32", shape);
  return {
    x: floats(1, largestChunk, c.hiddenSize),
    positions: engine.allocate("int64", [largestChunk]),
    wanted: engine.allocate("int64", [largestChunk]),
    keys: engine.allocate("int32", [1]),
    allKeys: engine.allocate("int32", [1]),
  };
}
