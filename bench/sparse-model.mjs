// Models of real shapes without a download: their weights are zeros in a sparse file, which takes next to no disk, or
// random numbers, where speed is measured (equal pages of memory may be merged, and are then read from a cache).
import { randomFillSync } from "node:crypto";
import { mkdir, open, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseLanguageConfig, parseLlavaConfig } from "../dist/models/config.js";
import { languageShapes } from "../dist/models/llama.js";
import { checkpointName } from "../dist/models/names.js";
import { projectorShapes } from "../dist/models/projector.js";
import { visionShapes } from "../dist/models/vision.js";

const llava = {
  model_type: "llava",
  image_token_index: 32000,
  text_config: { model_type: "llama", vocab_size: 32064, rms_norm_eps: 1e-5, max_position_embeddings: 4096 },
  vision_config: {
    model_type: "clip_vision_model",
    hidden_size: 1024,
    intermediate_size: 4096,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    image_size: 336,
    patch_size: 14,
    projection_dim: 768,
  },
};

const tinyllama = {
  model_type: "llama",
  vocab_size: 32000,
  hidden_size: 2048,
  intermediate_size: 5632,
  num_hidden_layers: 22,
  num_attention_heads: 32,
  num_key_value_heads: 4,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 2048,
  tie_word_embeddings: false,
};

/** LLaVA-1.5-7B's shape, and TinyLlama-1.1B's (a language model alone). */
const shapes = { "llava-7b": llava, tinyllama };

/** Writes a model's folder in float16, `filled` with random numbers or not; returns how large its weights' file is. */
export async function writeSparseModel(folder, shape, filled = false) {
  const json = shapes[shape];
  if (json === undefined) throw new TypeError(`name one of ${Object.keys(shapes).join(", ")}`);
  await mkdir(folder, { recursive: true });
  await writeWeights(join(folder, "model.safetensors"), [...tensorsOf(json)], filled);
  await writeTokenizer(folder);
  const size = { height: 336, width: 336 };
  const preprocessor = { image_processor_type: "CLIPImageProcessor", size: { shortest_edge: 336 }, crop_size: size };
  await writeFile(join(folder, "config.json"), JSON.stringify(json));
  await writeFile(join(folder, "preprocessor_config.json"), JSON.stringify(preprocessor));
  return (await stat(join(folder, "model.safetensors"))).size;
}

/** Names in the file, with their shapes. */
function* tensorsOf(json) {
  if (json.model_type !== "llava") {
    yield* languageShapes(parseLanguageConfig(json, "bench"));
    return;
  }
  const config = parseLlavaConfig(json, "bench");
  const parts = {
    vision: visionShapes(config.vision),
    projector: projectorShapes(config),
    language: languageShapes(config.language),
  };
  for (const [part, names] of Object.entries(parts)) {
    for (const [name, shape] of names) yield [checkpointName(part, name, "clip"), shape];
  }
}

/** A header, and a hole in the file where the weights would lie. */
async function writeWeights(path, tensors, filled) {
  let end = 0;
  const header = {};
  for (const [name, shape] of tensors) {
    const start = end;
    end += 2 * shape.reduce((product, n) => product * n, 1);
    header[name] = { dtype: "F16", shape, data_offsets: [start, end] };
  }
  const bytes = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  const file = await open(path, "w");
  await file.write(Buffer.concat([length, bytes]));
  await file.truncate(8 + bytes.length + end);
  if (filled) await fill(file, 8 + bytes.length, end);
  await file.close();
}

/** Float16 of either sign between 1/64 and 1/32. */
async function fill(file, start, length) {
  const halves = new Uint16Array(2 ** 25);
  for (let at = 0; at < length; at += halves.byteLength) {
    randomFillSync(halves);
    for (let i = 0; i < halves.length; i++) halves[i] = (halves[i] & 0x83ff) | 0x2400;
    const part = new Uint8Array(halves.buffer, 0, Math.min(halves.byteLength, length - at));
    await file.write(part, 0, part.length, start + at);
  }
}

async function writeTokenizer(folder) {
  const letters = [..."abcdefghijklmnopqrstuvwxyz"].map((letter, i) => [letter, i + 3]);
  const special = ["<unk>", "<s>", "</s>"].map((content, id) => ({ id, content, special: true, normalized: false }));
  const tokenizer = {
    added_tokens: [...special, { id: 32000, content: "<image>", special: true, normalized: false }],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab: Object.fromEntries([["<unk>", 0], ["<s>", 1], ["</s>", 2], ...letters]), merges: [] },
  };
  await writeFile(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
  await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify({ bos_token: "<s>", eos_token: "</s>" }));
}
