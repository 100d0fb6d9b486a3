// Hugging Face's llava directory (layout A), as transformers 4.57 and 5 load it; a bare language model as its own family's.
import { join } from "node:path";
import { writeFileAtomic } from "../formats/node.ts";
import type { SafetensorsEntry } from "../formats/safetensors-write.ts";
import { parsePreprocessor } from "../image/preprocessor.ts";
import { languageConfigText, type WrittenDType } from "../models/config-write.ts";
import type { LanguageFiles, LlavaFiles } from "../models/node.ts";
import type { Exporter, ExportModel, ExportSettings } from "./exporter.ts";
import { writeShards } from "./shards.ts";
import { beyondTransformers } from "../models/transformers-limits.ts";
import { unsupported } from "./unsupported.ts";
import { writeLlava } from "./write-llava.ts";

export const hf: Exporter = {
  title: "a Hugging Face directory, for transformers",
  dtypes: ["F32", "F16", "BF16"],
  quantizations: [],
  check: (model) => (model.kind === "llava" ? checkLlava(model) : undefined),
  write: async (model, folder, settings) => {
    const { dtype = "F32" } = settings;
    if (model.kind === "language") return writeLanguage(model, folder, dtype, settings);
    const preprocessor = parsePreprocessor(await model.preprocessor(), model.where, model.config.vision.family);
    const whole = { ...model, tokenizerFiles: await model.tokenizer(), preprocessor };
    await writeLlava(folder, whole, { ...settings, dtype });
  },
  usage,
};

function checkLlava({ config, where }: LlavaFiles): void {
  const beyond = beyondTransformers(config);
  if (beyond === undefined) return;
  const other = config.tiles === undefined ? ", or export it with --to onnx, which transformers.js runs" : "";
  unsupported(where, beyond.expected, beyond.got, `use the model here${other}`);
}

async function writeLanguage(
  model: LanguageFiles,
  folder: string,
  dtype: WrittenDType,
  settings: ExportSettings,
): Promise<void> {
  const { shapes, load } = model.weights;
  const entries = [...shapes].map(([name, shape]): SafetensorsEntry => ({
    name,
    dtype,
    shape,
    data: () => load(name),
  }));
  await writeShards(folder, entries, settings);
  const { tokenizerJson, tokenizerConfig, chatTemplate } = await model.tokenizer();
  const write = (name: string, text: string): Promise<void> => writeFileAtomic(join(folder, name), text);
  await write("config.json", languageConfigText(model.config, dtype));
  await write("tokenizer.json", `${JSON.stringify(tokenizerJson)}\n`);
  await write("tokenizer_config.json", `${JSON.stringify(tokenizerConfig, null, 2)}\n`);
  await write("generation_config.json", `${JSON.stringify({ eos_token_id: model.endIds }, null, 2)}\n`);
  if (chatTemplate !== undefined) await write("chat_template.jinja", chatTemplate);
}

function usage({ kind }: ExportModel): string {
  const [model, reader] =
    kind === "llava" ? ["LlavaForConditionalGeneration", "AutoProcessor"] : ["AutoModelForCausalLM", "AutoTokenizer"];
  return `With transformers (4.57 or newer, Python):

\`\`\`python
from transformers import ${reader}, ${model}

model = ${model}.from_pretrained("FOLDER")
${kind === "llava" ? "processor" : "tokenizer"} = ${reader}.from_pretrained("FOLDER")
\`\`\``;
}
