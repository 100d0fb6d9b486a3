// An ONNX folder for transformers.js: three graphs under onnx/, with the configs that it reads.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../formats/node.ts";
import { parsePreprocessor } from "../image/preprocessor.ts";
import { llavaConfigJson, textOf } from "../models/config-write.ts";
import { type LlavaConfig, tokensPerPicture } from "../models/config.ts";
import type { LlavaFiles } from "../models/node.ts";
import { writeModelFiles } from "../models/save-node.ts";
import type { Exporter, ExportModel, ExportSettings } from "./exporter.ts";
import { decoderGraph, embeddingGraph } from "./onnx-decoder.ts";
import { type OnnxGraph, onnxFiles } from "../graph/onnx-model.ts";
import { visionGraph } from "./onnx-vision.ts";
import { type Variant, variants } from "./onnx-weights.ts";
import { unsupported } from "./unsupported.ts";

export const onnx: Exporter = {
  title: "an ONNX folder, for transformers.js in Node and browsers",
  dtypes: ["F32", "F16"],
  quantizations: ["q8", "q4", "all"],
  check,
  write,
  usage,
};

/** What transformers.js adds to a file's name for each variant. */
const suffixes: Readonly<Record<Variant, string>> = { fp32: "", fp16: "_fp16", q8: "_quantized", q4: "_q4" };

function check(model: ExportModel): void {
  const { where } = model;
  if (model.kind === "language") {
    unsupported(where, "a llava model", "a bare language model", "export it with --to hf or --to gguf");
  }
  if (model.config.tiles !== undefined) {
    const expected = "pictures that are seen whole, as transformers.js's llava has no tiles";
    unsupported(where, expected, `up to ${model.config.tiles} tiles`, "use the model here");
  }
}

function chosen({ dtype, quantize }: ExportSettings): readonly Variant[] {
  if (quantize === "all") return variants;
  return [quantize === undefined ? (dtype === "F16" ? "fp16" : "fp32") : (quantize as Variant)];
}

async function write(model: ExportModel, folder: string, settings: ExportSettings): Promise<void> {
  const llava = model as LlavaFiles;
  const { config } = llava;
  const made = chosen(settings);
  const folders = join(folder, "onnx");
  await mkdir(folders);
  const external: Record<string, number> = {};
  const total = 3 * made.length;
  let done = 0;
  for (const variant of made) {
    const graphs: Readonly<Record<string, () => OnnxGraph>> = {
      vision_encoder: () => visionGraph(llava, variant),
      embed_tokens: () => embeddingGraph(config.language, llava.language, variant),
      decoder_model_merged: () => decoderGraph(config.language, llava.language, variant),
    };
    for (const [name, graph] of Object.entries(graphs)) {
      const file = `${name}${suffixes[variant]}.onnx`;
      let files = 0;
      for await (const { name: part, content } of onnxFiles(graph(), file)) {
        await writeFileAtomic(join(folders, part), content);
        files++;
      }
      if (files > 1) external[file] = files - 1;
      settings.onProgress?.(++done, total);
    }
  }
  const preprocessor = parsePreprocessor(await llava.preprocessor(), llava.where, config.vision.family);
  await writeModelFiles(folder, { ...llava, tokenizerFiles: await llava.tokenizer(), preprocessor });
  const json = {
    ...llavaConfigJson(config, "F32"),
    "transformers.js_config": { dtype: made[0], use_external_data_format: external },
  };
  await writeFileAtomic(join(folder, "config.json"), textOf(json));
  await writeFileAtomic(join(folder, "processor_config.json"), `${JSON.stringify(processor(config), null, 2)}\n`);
}

/** transformers.js counts (side / patch)² + additional and takes no class token away: the count is said directly. */
function processor(config: LlavaConfig): Readonly<Record<string, unknown>> {
  const patch = config.vision.patchSize * config.projector.pixelShuffle;
  return {
    processor_class: "LlavaProcessor",
    patch_size: patch,
    vision_feature_select_strategy: "full",
    image_token: "<image>",
    num_additional_image_tokens: tokensPerPicture(config) - (config.vision.imageSize / patch) ** 2,
  };
}

function usage(_: ExportModel, settings: ExportSettings): string {
  return `With transformers.js (4.3 or newer, Node and browsers; one picture a prompt):

\`\`\`js
import { AutoProcessor, AutoModelForImageTextToText, load_image } from "@huggingface/transformers";

const processor = await AutoProcessor.from_pretrained("FOLDER");
const model = await AutoModelForImageTextToText.from_pretrained("FOLDER", { dtype: "${chosen(settings)[0]!}" });
const inputs = await processor(await load_image("PICTURE"), "<image>\\nWhat is this?");
const ids = await model.generate({ ...inputs, max_new_tokens: 50 });
\`\`\``;
}
