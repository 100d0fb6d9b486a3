// How the tiny language model begins: words look alike in every script, and half of the heads look for what is alike.
// From there it learns in minutes to look things up, which from a plain start takes it hours.
import { random } from "../../data/random.ts";
import { sizeOf } from "../../graph/tensor.ts";
import { parseLanguageConfig } from "../../models/config.ts";
import { embeddingName, languageShapes } from "../../models/llama.ts";
import { memoryWeights, type PartWeights } from "../../models/weights.ts";
import { languageConfigJson } from "./shapes.ts";
import { normal, startingWeights } from "./start.ts";

/** deviation of an embedding, and its parts' shares of the variance: the word, how it is written, the piece itself */
const embeddingDeviation = 0.05;
const shares = { word: 0.8, script: 0.12, piece: 0.08 } as const;

/** Weights to start from, for a vocabulary of these pieces; `configJson` is as Hugging Face writes it. */
export async function startingLanguage(
  pieces: readonly string[],
  seed: number,
  configJson: object = languageConfigJson,
): Promise<PartWeights> {
  const config = parseLanguageConfig(configJson, "the tiny language model");
  const shapes = languageShapes(config);
  const plain = startingWeights(shapes, deviation, "language start", seed);
  const tensors = new Map(
    await Promise.all(
      [...shapes].map(async ([name, shape]) => [name, { shape, data: await plain.load(name) }] as const),
    ),
  );
  tensors.get(embeddingName)!.data.set(startingEmbedding(pieces, config.hiddenSize, seed));
  for (const [name, { shape, data }] of tensors) {
    if (!name.endsWith("k_proj.weight")) continue;
    const queries = tensors.get(name.replace("k_proj", "q_proj"))!.data;
    data.set(queries.subarray(0, sizeOf(shape) / 2)); // q = k: equal words attend to each other
  }
  return memoryWeights(tensors);
}

/** [pieces, width]: " boat", "Boat" and " BOAT" share their word's part; all capitals share that of their script. */
function startingEmbedding(pieces: readonly string[], width: number, seed: number): Float32Array {
  const embedding = new Float32Array(pieces.length * width);
  for (const [id, piece] of pieces.entries()) {
    const letters = piece.replace("Ġ", "");
    const script = `${piece !== letters} ${letters === letters.toLowerCase()} ${letters === letters.toUpperCase()}`;
    const parts = { word: letters.toLowerCase(), script, piece } as const;
    for (const part of ["word", "script", "piece"] as const) {
      const stream = random("embedding", seed, part, parts[part]);
      const spread = embeddingDeviation * Math.sqrt(shares[part]);
      for (let i = id * width; i < (id + 1) * width; i++) {
        embedding[i] = embedding[i]! + spread * normal(stream.float(), stream.float());
      }
    }
  }
  return embedding;
}

function deviation(name: string, inputs: number): number {
  if (name === embeddingName) return embeddingDeviation;
  return (/(o_proj|down_proj)\.weight$/.test(name) ? 0.5 : 1) / Math.sqrt(inputs);
}
