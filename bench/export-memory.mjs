// How much memory an export of a model of LLaVA-1.5-7B's shape takes: its weights are zeros in a sparse file, so that it
// needs no download; what is written is as large as the real one (13.5 GB in float16).
//   node bench/export-memory.mjs FOLDER [DOOR] [OPTION=VALUE…]      DOOR: hf (default), gguf, onnx; e.g. gguf quantize=Q8_0
import { mkdir, open, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exportModel } from "../dist/export/export.js";
import { parseLlavaConfig } from "../dist/models/config.js";
import { languageShapes } from "../dist/models/llama.js";
import { checkpointName } from "../dist/models/names.js";
import { projectorShapes } from "../dist/models/projector.js";
import { visionShapes } from "../dist/models/vision.js";

const [folder, to = "hf", ...pairs] = process.argv.slice(2);
if (folder === undefined) throw new TypeError("name an empty folder on a disk with 14 GB to spare");
const options = Object.fromEntries(pairs.map((pair) => pair.split("=")));

const json = {
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

/** A header, and a hole in the file where the weights would lie. */
async function writeModel(model) {
  await mkdir(model, { recursive: true });
  const config = parseLlavaConfig(json, "bench");
  const shapes = [
    ["vision", visionShapes(config.vision)],
    ["projector", projectorShapes(config)],
    ["language", languageShapes(config.language)],
  ];
  let end = 0;
  const header = {};
  for (const [part, names] of shapes) {
    for (const [name, shape] of names) {
      const start = end;
      end += 2 * shape.reduce((product, n) => product * n, 1);
      header[checkpointName(part, name, "clip")] = { dtype: "F16", shape, data_offsets: [start, end] };
    }
  }
  const bytes = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  const file = await open(join(model, "model.safetensors"), "w");
  await file.write(Buffer.concat([length, bytes]));
  await file.truncate(8 + bytes.length + end);
  await file.close();
  const letters = [..."abcdefghijklmnopqrstuvwxyz"].map((letter, i) => [letter, i + 3]);
  const special = ["<unk>", "<s>", "</s>"].map((content, id) => ({ id, content, special: true, normalized: false }));
  const tokenizer = {
    added_tokens: [...special, { id: 32000, content: "<image>", special: true, normalized: false }],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab: Object.fromEntries([["<unk>", 0], ["<s>", 1], ["</s>", 2], ...letters]), merges: [] },
  };
  const size = { height: 336, width: 336 };
  const preprocessor = { image_processor_type: "CLIPImageProcessor", size: { shortest_edge: 336 }, crop_size: size };
  await writeFile(join(model, "config.json"), JSON.stringify(json));
  await writeFile(join(model, "tokenizer.json"), JSON.stringify(tokenizer));
  await writeFile(join(model, "tokenizer_config.json"), JSON.stringify({ bos_token: "<s>", eos_token: "</s>" }));
  await writeFile(join(model, "preprocessor_config.json"), JSON.stringify(preprocessor));
  return (await stat(join(model, "model.safetensors"))).size;
}

const [model, out] = [join(folder, "model"), join(folder, "out")];
const bytes = await writeModel(model);
const started = performance.now();
try {
  await exportModel(model, { to, out, dtype: "F16", ...options });
} finally {
  await rm(out, { recursive: true, force: true });
  await rm(model, { recursive: true, force: true });
}
const seconds = (performance.now() - started) / 1000;
const peak = process.resourceUsage().maxRSS * 1024;
console.log(
  JSON.stringify({ to, ...options, model_GB: bytes / 1e9, peak_GB: peak / 1e9, seconds: Math.round(seconds) }),
);
