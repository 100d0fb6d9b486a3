// Runs the language model over new tokens: embeddings, all layers against the cache, logits where they are wanted.
// Shapes: T tokens of a chunk, C cache slots, E hidden, K key/value heads, D head size, V vocabulary.
import type { LanguageConfig } from "../models/config.ts";
import { embeddingName, finalNormName, headName, layerPrefix, layerShapes } from "../models/llama.ts";
import type { Lora } from "../models/lora.ts";
import { weightNames } from "../models/lora-inputs.ts";
import { type Engine, type EngineBuffer, type Pass, type Program, view } from "../runtime/engine.ts";
import { type Chunk, gatherWanted, type LayerWeights, loadChunk, type NewToken, runLayers } from "./chunk.ts";
import { chunkSizes, largestChunk } from "./chunk-sizes.ts";
import { headGraph } from "./graphs.ts";
import { allocateCache, copyCache, type KeyValueCache } from "./kv-cache.ts";

type Floats = EngineBuffer<"float32">;

/** Finds a language weight in the engine by its Hugging Face name. */
export type LanguageParameters = (name: string) => Floats;

/** The language weights in the engine. */
export interface LanguageWeights {
  readonly parameter: LanguageParameters;
  /** an adapter whose factors are among the parameters */
  readonly lora?: Lora | undefined;
  /** adds to a pass what must be done before `parameter(name)` holds a layer's weight */
  readonly prepare?: ((pass: Pass, name: string) => void) | undefined;
}

/** How many slots the cache must have, and from which on nothing lies in them. */
export interface Slots {
  readonly capacity: number;
  readonly used: number;
}

export interface Decoder {
  /**
   * Computes at most `largestChunk` tokens, each after those it follows, and keeps their keys and values in their slots.
   * @returns logits [V] of each wanted token, in order
   */
  run(tokens: readonly NewToken[], slots: Slots): Promise<Float32Array[]>;
  /** Forgets all keys and values. */
  reset(): void;
  release(): Promise<void>;
}

/** Rows that go through the head at once: their logits are [R, V]. */
const largestHead = 32;

/** A decoder in float32 over weights that lie in the engine, as they are at each run. */
export function createDecoder(engine: Engine, config: LanguageConfig, weights: LanguageWeights): Decoder {
  return new LayerDecoder(engine, config, weights);
}

/** Runs one layer's program after the other; the weights are inputs, so training can go on between two runs. */
class LayerDecoder implements Decoder {
  readonly #engine: Engine;
  readonly #config: LanguageConfig;
  readonly #parameter: LanguageParameters;
  readonly #lora: Lora | undefined;
  readonly #layers: readonly LayerWeights[];
  /** last hidden states of the wanted tokens */
  readonly #hidden: Floats;
  readonly #chunks = new Map<number, Promise<Chunk>>();
  readonly #heads = new Map<number, Promise<Head>>();
  #cache: KeyValueCache | undefined;
  #capacity = 0;

  constructor(engine: Engine, config: LanguageConfig, weights: LanguageWeights) {
    this.#engine = engine;
    this.#config = config;
    this.#parameter = weights.parameter;
    this.#lora = weights.lora;
    this.#layers = layerWeights(config, weights);
    this.#hidden = engine.allocate("float32", [largestChunk + largestHead, config.hiddenSize]);
  }

  async run(tokens: readonly NewToken[], { capacity }: Slots): Promise<Float32Array[]> {
    const pass = this.#engine.pass();
    const old = this.#cache;
    const cache = await this.#fit(pass, capacity);
    const wanted = await this.#runChunks(pass, tokens, cache);
    const sizes = headSizes(wanted);
    await this.#runHeads(pass, sizes);
    const results = pass.submit();
    // freed behind the pass that copies it
    if (old !== cache) old?.release();
    const read = await results;
    const width = this.#config.vocabSize;
    return sizes.flatMap((size, i) => rowsOf(read[String(i)]!.data as Float32Array, size, width)).slice(0, wanted);
  }

  reset(): void {
    this.#cache?.release();
    this.#cache = undefined;
  }

  async release(): Promise<void> {
    await this.#releaseChunks();
    for (const head of this.#heads.values()) await (await head).release();
    this.reset();
    this.#engine.free(this.#hidden);
  }

  /** A cache of the wanted capacity, with what the smaller one held. */
  async #fit(pass: Pass, capacity: number): Promise<KeyValueCache> {
    if (capacity !== this.#capacity) await this.#releaseChunks();
    this.#capacity = capacity;
    if (this.#cache?.capacity === capacity) return this.#cache;
    const grown = allocateCache(this.#engine, this.#config, capacity);
    if (this.#cache) copyCache(pass, this.#cache, grown, this.#config);
    return (this.#cache = grown);
  }

  /** All tokens through all layers; returns how many rows of `#hidden` are wanted ones. */
  async #runChunks(pass: Pass, tokens: readonly NewToken[], cache: KeyValueCache): Promise<number> {
    const [config, embedding] = [this.#config, this.#parameter(embeddingName)];
    const load = (size: number): Promise<Chunk> => loadChunk(this.#engine, config, size, cache.capacity, this.#lora);
    let [start, wanted] = [0, 0];
    for (const size of chunkSizes(tokens.length)) {
      const chunk = await remembered(this.#chunks, size, () => load(size));
      const part = tokens.slice(start, start + size);
      const output = runLayers(pass, { config, chunk, layers: this.#layers, cache, embedding }, part);
      wanted += gatherWanted(pass, chunk, output, part, this.#rows(wanted, largestChunk - wanted));
      start += size;
    }
    return wanted;
  }

  async #runHeads(pass: Pass, sizes: readonly number[]): Promise<void> {
    const weights = { norm: this.#parameter(finalNormName), output: this.#parameter(headName(this.#config)) };
    let row = 0;
    for (const [i, size] of sizes.entries()) {
      const { program, logits } = await remembered(this.#heads, size, () => loadHead(this.#engine, this.#config, size));
      pass.run(program, { hidden: this.#rows(row, size), ...weights }, { logits }).read(String(i), logits);
      row += size;
    }
  }

  #rows(start: number, count: number): Floats {
    const { hiddenSize } = this.#config;
    return view(this.#hidden, [count, hiddenSize], start * hiddenSize);
  }

  async #releaseChunks(): Promise<void> {
    for (const chunk of this.#chunks.values()) await (await chunk).release();
    this.#chunks.clear();
  }
}

interface Head {
  readonly program: Program;
  readonly logits: Floats;
  release(): Promise<void>;
}

async function loadHead(engine: Engine, config: LanguageConfig, rows: number): Promise<Head> {
  const program = await engine.load(headGraph(config, rows));
  const logits = engine.allocate("float32", [rows, config.vocabSize]);
  return {
    program,
    logits,
    release: async () => {
      engine.free(logits);
      await engine.unload(program);
    },
  };
}

function headSizes(rows: number): number[] {
  const full = Array.from({ length: Math.floor(rows / largestHead) }, () => largestHead);
  const rest = rows % largestHead;
  return rest === 0 ? full : [...full, 2 ** Math.ceil(Math.log2(rest))];
}

/** Each layer's weights by their names inside a layer. */
function layerWeights(config: LanguageConfig, { parameter, lora, prepare }: LanguageWeights): LayerWeights[] {
  const names = weightNames(new Map(Object.entries(layerShapes(config))), lora);
  return Array.from({ length: config.layers }, (_, layer) => ({
    bindings: Object.fromEntries(names.map((name) => [name, parameter(layerPrefix(layer) + name)])),
    prepare: (pass) => names.forEach((name) => prepare?.(pass, layerPrefix(layer) + name)),
  }));
}

function rowsOf(data: Float32Array, rows: number, width: number): Float32Array[] {
  return Array.from({ length: rows }, (_, row) => data.subarray(row * width, (row + 1) * width));
}

function remembered<T>(known: Map<number, Promise<T>>, key: number, make: () => Promise<T>): Promise<T> {
  const value = known.get(key) ?? make();
  known.set(key, value);
  value.catch(() => known.delete(key));
  return value;
}
