// A tiny LLaVA with random weights as a folder, which never ends an answer by itself; and pictures for it.
import { languageShapes } from "../src/models/llama.ts";
import { parsePreprocessor } from "../src/image/preprocessor.ts";
import { parseLlavaConfig } from "../src/models/config.ts";
import { projectorShapes } from "../src/models/projector.ts";
import { saveModel } from "../src/models/save-node.ts";
import { visionShapes } from "../src/models/vision.ts";
import { memoryWeights, type PartWeights } from "../src/models/weights.ts";
import { encodePng } from "../src/image/node.ts";
import { tinyFiles, tinyTokenizer } from "../src/text/tokenizers.fixture.ts";
import { randomWeights, tinyJson } from "./tiny-model.ts";

/** control tokens are the first ids of the tokenizer */
const controls = 4;

/** Writes the model: 4 places a picture, ChatML, a context of `positions`. */
export async function writeTinyLlava(folder: string, positions = 2048): Promise<void> {
  const vocab_size = tinyTokenizer("bytes").vocabSize;
  const text_config = { ...tinyJson.text_config, vocab_size, max_position_embeddings: positions };
  const json = { ...tinyJson, image_token_index: 3, text_config, llava_ts: { template: "chatml" } };
  const config = parseLlavaConfig(json, "tiny");
  const { tokenizer, config: tokenizerConfig } = tinyFiles("bytes");
  await saveModel(folder, {
    config,
    vision: randomWeights(visionShapes(config.vision)),
    projector: randomWeights(projectorShapes(config)),
    language: await endless(randomWeights(languageShapes(config.language))),
    tokenizerFiles: { where: "tiny", tokenizerJson: tokenizer, tokenizerConfig },
    preprocessor: parsePreprocessor({ image_processor_type: "ViTImageProcessor", size: 16 }, "tiny"),
    endIds: [0],
  });
}

/** The first of every hidden state's numbers stays what the embedding says, and the head takes it against control tokens. */
async function endless(weights: PartWeights): Promise<PartWeights> {
  const changed = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, shape] of weights.shapes) {
    const data = Float32Array.from(await weights.load(name));
    const [rows, width] = [shape[0]!, shape[1] ?? 1];
    if (/(o_proj|down_proj)\.weight$/.test(name)) data.fill(0, 0, width);
    if (name === "model.embed_tokens.weight") for (let row = 0; row < rows; row++) data[row * width] = 3;
    if (name === "lm_head.weight") for (let row = 0; row < controls; row++) data[row * width] = -100;
    changed.set(name, { shape, data });
  }
  return memoryWeights(changed);
}

/** A PNG of one colour a seed, and the data: URL of it. */
export async function tinyPicture(seed: number, width = 24, height = 20): Promise<string> {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, at) => (at * (seed + 3)) % 256);
  return dataUrl(await encodePng({ width, height, data }));
}

export function dataUrl(bytes: Uint8Array, type = "image/png"): string {
  return `data:${type};base64,${Buffer.from(bytes).toString("base64")}`;
}
