// Two tiny random base models as folders, and drawn pictures with samples: a whole training run in a second.
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeSamples } from "../src/data/samples.ts";
import type { Sample } from "../src/data/sample.ts";
import { writeFileAtomic } from "../src/formats/node.ts";
import { encodeSafetensors } from "../src/formats/safetensors-write.ts";
import { encodePng } from "../src/image/node.ts";
import { parseLanguageConfig, parseVisionConfig } from "../src/models/config.ts";
import { languageShapes } from "../src/models/llama.ts";
import { visionFileName, visionPrefix } from "../src/models/names.ts";
import { visionShapes } from "../src/models/vision.ts";
import type { PartWeights } from "../src/models/weights.ts";
import { tinyFiles, tinyTokenizer } from "../src/text/tokenizers.fixture.ts";
import { randomWeights, tinyJson } from "./tiny-model.ts";

const tokenizerName = "bytes";

async function writeWeights(folder: string, weights: PartWeights, fileName: (name: string) => string): Promise<void> {
  const entries = [...weights.shapes].map(([name, shape]) => ({
    name: fileName(name),
    dtype: "F32" as const,
    shape,
    data: () => weights.load(name),
  }));
  await writeFileAtomic(join(folder, "model.safetensors"), encodeSafetensors(entries));
}

const writeJson = (folder: string, name: string, json: unknown): Promise<void> =>
  writeFile(join(folder, name), JSON.stringify(json));

/** Writes a tower of random weights: CLIP's, unless `changes` to its config.json say otherwise. */
export async function writeTinyVision(folder: string, changes: object = {}): Promise<void> {
  await mkdir(folder, { recursive: true });
  const json = { ...tinyJson.vision_config, ...changes };
  const config = parseVisionConfig(json, "tiny");
  await writeJson(folder, "config.json", json);
  await writeJson(folder, "preprocessor_config.json", {
    image_processor_type: "CLIPImageProcessor",
    size: { shortest_edge: 16 },
    crop_size: { height: 16, width: 16 },
  });
  await writeWeights(
    folder,
    randomWeights(visionShapes(config)),
    (name) => visionPrefix[config.family] + visionFileName(config.family, name),
  );
}

async function writeLanguage(folder: string, changes: object): Promise<void> {
  await mkdir(folder, { recursive: true });
  const files = tinyFiles(tokenizerName);
  const json = {
    ...tinyJson.text_config,
    ...changes,
    tie_word_embeddings: true,
    vocab_size: tinyTokenizer(tokenizerName).vocabSize,
    max_position_embeddings: 512,
  };
  await writeJson(folder, "config.json", json);
  await writeJson(folder, "tokenizer.json", files.tokenizer);
  await writeJson(folder, "tokenizer_config.json", files.config);
  await writeWeights(folder, randomWeights(languageShapes(parseLanguageConfig(json, "tiny"))), (name) => name);
}

/** One-coloured pictures and a sample for each, named after their colour. */
async function writeData(folder: string, count: number): Promise<void> {
  await mkdir(join(folder, "photos"), { recursive: true });
  const samples: Sample[] = [];
  for (let i = 0; i < count; i++) {
    const data = new Uint8Array(24 * 20 * 3).map((_, at) => (at % 3 === i % 3 ? 200 : 10 * i));
    await writeFile(join(folder, "photos", `${i}.png`), await encodePng({ width: 24, height: 20, data }));
    const conversations = [
      { from: "human" as const, value: "<image>\nWhat colour?" },
      { from: "gpt" as const, value: ["red", "green", "blue"][i % 3]! },
    ];
    samples.push({ id: String(i), images: [`${i}.png`], conversations, extra: {}, where: "" });
  }
  await writeSamples(join(folder, "samples.json"), samples);
}

/** Writes bases, pictures, samples and returns a recipe's text; outputs go to `folder/NAME`. */
export async function writeTinyProject(folder: string, name: string, language: object = {}): Promise<string> {
  await writeTinyVision(join(folder, "vision"));
  await writeLanguage(join(folder, "language"), language);
  await writeData(folder, 12);
  const data = `data: ${join(folder, "samples.json")}, images: ${join(folder, "photos")}`;
  return `name: ${name}
model:
  vision: { path: ${join(folder, "vision")}, layer: -2, tokens: patch }
  projector: { kind: mlp2x_gelu, pixel_shuffle: 2 }
  language: { path: ${join(folder, "language")} }
  template: vicuna_v1
stages:
  - { name: align, ${data}, train: [projector], batch_size: 4, learning_rate: 1.0e-2, epochs: 2, template: plain }
  - { name: instruct, ${data}, train: [projector, language], batch_size: 3, learning_rate: { projector: 1.0e-2, language: 1.0e-2 }, epochs: 2, checkpoint_every: 2 }
output: ${join(folder, name)}
cache: ${join(folder, "cache")}
seed: 7
`;
}

/** What a folder's weights are known by: equal only where every byte is. */
export async function weightsHash(model: string, file = "model.safetensors"): Promise<string> {
  return createHash("sha256")
    .update(await readFile(join(model, file)))
    .digest("hex");
}
