// A language model of a few thousand random weights, and its logits computed whole: no cache, no chunks, no tree.
import { random } from "../data/random.ts";
import { matMul, reshape, rmsNorm, swapLast } from "../graph/build.ts";
import { constant, graph, input, type Value } from "../graph/graph.ts";
import { floats, sizeOf, tensor } from "../graph/tensor.ts";
import type { LanguageConfig } from "../models/config.ts";
import { decoderLayer, finalNormName, headName, languageShapes, layerPrefix } from "../models/llama.ts";
import { memoryWeights, type PartWeights } from "../models/weights.ts";
import { rotationTables } from "../nn/rope.ts";
import type { Engine } from "../runtime/engine.ts";

export function tinyConfig(changes: Partial<LanguageConfig> = {}): LanguageConfig {
  return {
    family: "llama",
    vocabSize: 300,
    hiddenSize: 32,
    intermediateSize: 48,
    layers: 2,
    heads: 4,
    keyValueHeads: 2,
    headSize: 8,
    ropeBase: 10000,
    rmsNormEpsilon: 1e-5,
    tied: false,
    queryKeyValueBias: false,
    maxPositions: 1024,
    raw: {},
    ...changes,
  };
}

export function tinyWeights(config: LanguageConfig, seed = 1): PartWeights {
  const tensors = [...languageShapes(config)].map(([name, shape]) => {
    const draw = random(seed, name);
    const norm = name.includes("norm");
    const data = Float32Array.from({ length: sizeOf(shape) }, () => (norm ? 1 : 0) + (draw.float() - 0.5) * 0.8);
    return [name, { shape, data }] as const;
  });
  return memoryWeights(new Map(tensors));
}

/**
 * Logits [V] after the last of `ids`, where `rows` (width E) takes the places of some embeddings.
 * One graph over the whole sequence with the mask written out.
 */
export async function wholeLogits(
  engine: Engine,
  config: LanguageConfig,
  weights: PartWeights,
  ids: readonly number[],
  rows: ReadonlyMap<number, Float32Array> = new Map(),
): Promise<Float32Array> {
  const T = ids.length;
  const values = new Map<string, Value>();
  for (const [name, shape] of weights.shapes) values.set(name, constant(floats(shape, await weights.load(name))));
  const table = await weights.load("model.embed_tokens.weight");
  const E = config.hiddenSize;
  const x = new Float32Array(T * E);
  for (const [t, id] of ids.entries()) x.set(rows.get(t) ?? table.subarray(id * E, (id + 1) * E), t * E);
  const window = config.slidingWindow ?? Infinity;
  const mask = Float32Array.from({ length: T * T }, (_, i) => {
    const back = Math.floor(i / T) - (i % T);
    return back >= 0 && back < window ? 0 : -1e30;
  });
  const angles = rotationTables(Int32Array.from(ids.keys()), config.headSize, config.ropeBase);
  const half = [1, 1, 1, T, config.headSize / 2];
  let hidden = input("x", "float32", [T, E]);
  for (let layer = 0; layer < config.layers; layer++) {
    hidden = decoderLayer(hidden, (name) => values.get(layerPrefix(layer) + name)!, config, {
      batch: 1,
      rotation: {
        cos: constant(tensor("float32", half, angles.cos)),
        sin: constant(tensor("float32", half, angles.sin)),
      },
      mask: constant(tensor("float32", [1, 1, 1, T, T], mask)),
    }).output_NE;
  }
  const normed = rmsNorm(hidden, values.get(finalNormName)!, config.rmsNormEpsilon);
  const logits = reshape(matMul(normed, swapLast(values.get(headName(config))!)), [T, config.vocabSize]);
  const program = await engine.load(graph("whole", { logits }));
  const [input_, output] = [engine.allocate("float32", [T, E]), engine.allocate("float32", [T, config.vocabSize])];
  const read = await engine
    .pass()
    .write(input_, x)
    .run(program, { x: input_ }, { logits: output })
    .read("logits", output)
    .submit();
  await engine.unload(program);
  engine.free(input_);
  engine.free(output);
  return (read["logits"]!.data as Float32Array).slice((T - 1) * config.vocabSize);
}
