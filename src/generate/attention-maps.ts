// What an answer's tokens look at: the language model's own attention, computed whole in one pass, without the cache.
// Shapes: T tokens (rows to spare included), E hidden, K key/value heads, G query heads each (H = K·G), D head size, A = T·T.
import { matMul, reshape } from "../graph/build.ts";
import { type Graph, graph, input, type Value } from "../graph/graph.ts";
import type { LanguageConfig } from "../models/config.ts";
import { decoderLayer, embeddingName, layerPrefix, layerShapes } from "../models/llama.ts";
import type { Lora } from "../models/lora.ts";
import { weightInputs, weightNames } from "../models/lora-inputs.ts";
import { attentionWeights, mergeHeads, weightedValues } from "../nn/attention.ts";
import { rotationTables } from "../nn/rope.ts";
import { type Engine, type EngineBuffer, type Program, view } from "../runtime/engine.ts";
import { embed } from "./chunk.ts";
import type { LanguageWeights } from "./decoder.ts";
import type { Prompt } from "./generation.ts";
import { causalMask } from "./masks.ts";
import { tokensOf } from "./sequence.ts";

type Floats = EngineBuffer<"float32">;

/** What is averaged: layers, and in each of them these query heads, all unless told. */
export interface AttentionChoice {
  readonly layers: readonly number[];
  readonly heads?: readonly number[] | undefined;
}

export interface AttentionReader {
  /** of the language model */
  readonly layers: number;
  /** query heads of each */
  readonly heads: number;
  /**
   * The attention from which each token of an answer was chosen: that of the token before it, mean over the chosen heads
   * of the chosen layers. Throws what the engine throws, and the signal's reason. Answers under way go on between its layers.
   * @param answered a prompt and its answer
   * @param from where the answer begins; at least 1
   * @returns for each token from `from` on its weights [T] over all tokens; they sum to 1
   */
  read(answered: Prompt, from: number, choice: AttentionChoice, signal?: AbortSignal): Promise<Float32Array[]>;
  release(): Promise<void>;
}

/** Sequences are padded to multiples of this, so that neighbouring lengths share a program. */
const step = 64;

/**
 * One decoder layer over a sequence of its own that also gives its attention: x [T, E], cos and sin [T, D/2],
 * mask [T, T], shares [1, H] → y [T, E], seen [T, T], its heads' weights added up by their shares. The weights shown are those
 * that its values are weighted with.
 */
function watchedLayerGraph(c: LanguageConfig, tokens: number, lora?: Lora): Graph {
  const { weight, lowRank } = weightInputs(new Map(Object.entries(layerShapes(c))), lora);
  const angles = (name: string): Value => input(name, "float32", [1, 1, 1, tokens, c.headSize / 2]);
  const mask = input("mask", "float32", [1, 1, 1, tokens, tokens]);
  const shares_1H = input("shares", "float32", [1, c.heads]);
  let seen = mask;
  const layer = decoderLayer(input("x", "float32", [tokens, c.hiddenSize]), weight, c, {
    batch: 1,
    lowRank,
    rotation: { cos: angles("cos"), sin: angles("sin") },
    mask,
    attend: (q_BKGTD, k_BKSD, v_BKSD) => {
      const own = [{ k_BKSD, v_BKSD, mask }];
      const p_BKGTS = attentionWeights(q_BKGTD, own);
      const p_HA = reshape(p_BKGTS, [c.heads, tokens * tokens]);
      seen = reshape(matMul(shares_1H, p_HA), [tokens, tokens]);
      return mergeHeads(weightedValues(p_BKGTS, own));
    },
  });
  return graph(`watched layer, ${tokens} tokens`, { y: layer.output_NE, seen });
}

/** What is read: weights in the engine, with an adapter's factors among them where there is one. */
type ReadWeights = Pick<LanguageWeights, "parameter" | "lora">;

/** A reader over weights in the engine; it takes memory from its first use on. */
export function createAttentionReader(engine: Engine, config: LanguageConfig, weights: ReadWeights): AttentionReader {
  let space: Space | undefined;
  // one at a time: there is one set of buffers
  let last: Promise<unknown> = Promise.resolve();
  const fit = async (tokens: number): Promise<Space> => {
    if (space?.tokens === tokens) return space;
    await space?.release();
    space = undefined;
    return (space = await makeSpace(engine, config, tokens, weights.lora));
  };
  return {
    layers: config.layers,
    heads: config.heads,
    read: (answered, from, choice, signal) => {
      const result = last.then(async () => {
        signal?.throwIfAborted();
        const tokens = Math.ceil(answered.ids.length / step) * step;
        const reading = { engine, config, ...weights, space: await fit(tokens), answered, from, choice, signal };
        return readWeights(reading);
      });
      last = result.catch(() => undefined);
      return result;
    },
    release: async () => {
      await last;
      await space?.release();
    },
  };
}

/** The program of one length and its buffers. */
interface Space {
  readonly tokens: number;
  readonly program: Program;
  readonly x: readonly [Floats, Floats];
  readonly cos: Floats;
  readonly sin: Floats;
  readonly mask: Floats;
  readonly shares: Floats;
  readonly seen: Floats;
  readonly ids: EngineBuffer<"int32">;
  release(): Promise<void>;
}

async function makeSpace(engine: Engine, config: LanguageConfig, tokens: number, lora?: Lora): Promise<Space> {
  const program = await engine.load(watchedLayerGraph(config, tokens, lora));
  const floats = (...shape: number[]): Floats => engine.allocate("float32", shape);
  const [cos, sin] = [floats(tokens, config.headSize / 2), floats(tokens, config.headSize / 2)];
  const [mask, seen, shares] = [floats(tokens, tokens), floats(tokens, tokens), floats(1, config.heads)];
  const x = [floats(tokens, config.hiddenSize), floats(tokens, config.hiddenSize)] as const;
  const ids = engine.allocate("int32", [tokens]);
  return {
    ...{ tokens, program, x, cos, sin, mask, shares, seen, ids },
    release: async () => {
      for (const buffer of [cos, sin, mask, shares, seen, ids, ...x]) engine.free(buffer);
      await engine.unload(program);
    },
  };
}

interface Reading extends ReadWeights {
  readonly engine: Engine;
  readonly config: LanguageConfig;
  readonly space: Space;
  readonly answered: Prompt;
  readonly from: number;
  readonly choice: AttentionChoice;
  readonly signal: AbortSignal | undefined;
}

async function readWeights(reading: Reading): Promise<Float32Array[]> {
  const { engine, config, parameter, lora, space, answered, from, choice, signal } = reading;
  const { tokens, program, cos, sin, mask, shares, seen } = space;
  const { layers } = choice;
  const length = answered.ids.length;
  const rows = view(seen, [length - from, tokens], (from - 1) * tokens);
  const names = weightNames(new Map(Object.entries(layerShapes(config))), lora);
  const sums = new Float64Array((length - from) * tokens);
  let [x, y] = space.x;
  await begin(reading);
  // what lies behind the last layer asked for is not computed
  for (let layer = 0; layer <= Math.max(...layers); layer++) {
    const bindings = Object.fromEntries(names.map((name) => [name, parameter(layerPrefix(layer) + name)]));
    // a pass each: others wait for one layer, not for all of them
    const pass = engine.pass().run(program, { x, cos, sin, mask, shares, ...bindings }, { y, seen });
    const { weights } = await (layers.includes(layer) ? pass.read("weights", rows) : pass).submit();
    signal?.throwIfAborted();
    if (weights) for (let i = 0; i < sums.length; i++) sums[i]! += weights.data[i] as number;
    [x, y] = [y, x];
  }
  const count = new Set(layers).size;
  return Array.from({ length: length - from }, (_, row) =>
    Float32Array.from(sums.subarray(row * tokens, row * tokens + length), (sum) => sum / count),
  );
}

/** Writes what the layers begin with. */
async function begin({ engine, config, parameter, space, answered, choice }: Reading): Promise<void> {
  const { tokens, x, cos, sin, mask, shares, ids } = space;
  const angles = rotationTables(
    Int32Array.from({ length: tokens }, (_, i) => i),
    config.headSize,
    config.ropeBase,
  );
  const pass = engine.pass();
  const sources = tokensOf(answered).map(({ source }) => source);
  embed(pass, { size: tokens, ids, into: x[0] }, parameter(embeddingName), sources);
  pass.write(cos, angles.cos).write(sin, angles.sin).write(mask, causalMask(tokens, config.slidingWindow));
  const heads = new Set(choice.heads ?? Array.from({ length: config.heads }, (_, head) => head));
  pass.write(
    shares,
    Float32Array.from({ length: config.heads }, (_, head) => (heads.has(head) ? 1 / heads.size : 0)),
  );
  await pass.submit();
}
