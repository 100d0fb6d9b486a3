// Runs the language model over new tokens: embeddings, all layers against the cache, logits where they are wanted.
// Shapes: T tokens of a chunk, C cache slots, E hidden, K key/value heads, D head size, V vocabulary.
import type { LanguageConfig } from "../models/config.ts";
import { embeddingName, finalNormName, headName, layerPrefix, layerShapes } from "../models/llama.ts";
import { type Bindings, type Engine, type EngineBuffer, type Pass, type Program, view } from "../runtime/engine.ts";
import { type Chunk, gatherWanted, loadChunk, type NewToken, runLayers } from "./chunk.ts";
import { chunkSizes, largestChunk } from "./chunk-sizes.ts";
import { headGraph } from "./graphs.ts";
import { allocateCache, copyCache, type KeyValueCache } from "./kv-cache.ts";

type Floats = EngineBuffer<"float32">;

/** Finds a language weight in the engine by its Hugging Face name. */
export type LanguageParameters = (name: string) => Floats;

export interface Decoder {
  /**
   * Computes at most `largestChunk` tokens, each after those it follows, and keeps their keys and values in their slots.
   * @returns logits [V] of each wanted token, in order
   */
  run(tokens: readonly NewToken[], capacity: number): Promise<Float32Array[]>;
  /** Forgets all keys and values. */
  reset(): void;
  release(): Promise<void>;
}

/** Rows that go through the head at once: their logits are [R, V]. */
const largestHead = 32;

/** A decoder in float32 over weights that lie in the engine, as they are at each run. */
export function createDecoder(engine: Engine, config: LanguageConfig, parameter: LanguageParameters): Decoder {
  const layers = layerBindings(config, parameter);
  const hidden = engine.allocate("float32", [largestChunk + largestHead, config.hiddenSize]);
  const chunks = new Map<number, Promise<Chunk>>();
  const heads = new Map<number, Promise<Head>>();
  let cache: KeyValueCache | undefined;

  const fit = async (pass: Pass, capacity: number): Promise<KeyValueCache> => {
    if (cache?.capacity === capacity) return cache;
    for (const chunk of chunks.values()) await (await chunk).release();
    chunks.clear();
    const grown = allocateCache(engine, config, capacity);
    if (cache) copyCache(pass, cache, grown, config);
    cache = grown;
    return grown;
  };
  return {
    async run(tokens, capacity) {
      const pass = engine.pass();
      const old = cache;
      const current = await fit(pass, capacity);
      let [start, wanted] = [0, 0];
      for (const size of chunkSizes(tokens.length)) {
        const chunk = await remembered(chunks, size, () => loadChunk(engine, config, size, capacity));
        const part = tokens.slice(start, start + size);
        const last = runLayers(
          pass,
          { config, chunk, layers, cache: current, embedding: parameter(embeddingName) },
          part,
        );
        wanted += gatherWanted(
          pass,
          chunk,
          last,
          part,
          view(hidden, [hidden.shape[0]! - wanted, config.hiddenSize], wanted * config.hiddenSize),
        );
        start += size;
      }
      const sizes = headSizes(wanted);
      let row = 0;
      for (const [i, size] of sizes.entries()) {
        const head = await remembered(heads, size, () => loadHead(engine, config, size));
        const inputs = {
          hidden: view(hidden, [size, config.hiddenSize], row * config.hiddenSize),
          norm: parameter(finalNormName),
          output: parameter(headName(config)),
        };
        pass.run(head.program, inputs, { logits: head.logits }).read(String(i), head.logits);
        row += size;
      }
      const results = pass.submit();
      if (old && old !== current) old.release();
      const read = await results;
      return sizes
        .flatMap((size, i) => rowsOf(read[String(i)]!.data as Float32Array, size, config.vocabSize))
        .slice(0, wanted);
    },
    reset() {
      cache?.release();
      cache = undefined;
    },
    async release() {
      for (const chunk of chunks.values()) await (await chunk).release();
      for (const head of heads.values()) await (await head).release();
      cache?.release();
      engine.free(hidden);
    },
  };
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
function layerBindings(config: LanguageConfig, parameter: LanguageParameters): Bindings[] {
  const names = Object.keys(layerShapes(config));
  return Array.from({ length: config.layers }, (_, layer) =>
    Object.fromEntries(names.map((name) => [name, parameter(layerPrefix(layer) + name)])),
  );
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
