// GGUF for llama.cpp: the language model, and beside it the picture encoder as its mmproj file.
import { join } from "node:path";
import { writeFileAtomic } from "../formats/node.ts";
import type { WrittenGgufType } from "../formats/gguf-quantise.ts";
import { encodeGguf, type GgufEntry } from "../formats/gguf-write.ts";
import { parsePreprocessor } from "../image/preprocessor.ts";
import type { Exporter, ExportModel, ExportSettings } from "./exporter.ts";
import { languageEntries, languageFields } from "./gguf-language.ts";
import { tokenizerFields } from "./gguf-tokenizer.ts";
import { checkVision, visionEntries, visionFields } from "./gguf-vision.ts";

export const gguf: Exporter = {
  title: "GGUF files, for llama.cpp",
  dtypes: ["F32", "F16", "BF16"],
  quantizations: ["Q8_0", "Q4_0", "Q4_K"],
  check: (model) => (model.kind === "llava" ? checkVision(model) : undefined),
  write,
  usage,
};

async function write(model: ExportModel, folder: string, settings: ExportSettings): Promise<void> {
  const { name } = settings;
  const type = languageType(settings);
  const language = model.kind === "llava" ? model.config.language : model.config;
  const tokenizer = tokenizerFields(await model.tokenizer(), language.vocabSize, model.endIds);
  const texts = languageEntries(language, model.kind === "llava" ? model.language : model.weights, type);
  const pictures = model.kind === "llava" ? visionEntries(model, visionType(settings)) : [];
  const counted = counter(settings, texts.length + pictures.length);
  const fields = new Map([...languageFields(language, name, type), ...tokenizer]);
  const target = (file: string): string => join(folder, file);
  await writeFileAtomic(target(`${name}-${type}.gguf`), encodeGguf(fields, counted(texts)));
  if (model.kind !== "llava") return;
  const preprocessor = parsePreprocessor(await model.preprocessor(), model.where, model.config.vision.family);
  const visual = visionFields(model, preprocessor, name, visionType(settings));
  await writeFileAtomic(target(pictureFile(settings)), encodeGguf(visual, counted(pictures)));
}

const languageType = ({ quantize, dtype }: ExportSettings): WrittenGgufType =>
  (quantize as WrittenGgufType | undefined) ?? dtype ?? "F16";

/** The encoder is small and sees every picture once: it is not quantised. */
const visionType = ({ dtype }: ExportSettings): WrittenGgufType => (dtype === "F32" ? "F32" : "F16");

const pictureFile = (settings: ExportSettings): string => `mmproj-${settings.name}-${visionType(settings)}.gguf`;

function counter({ onProgress }: ExportSettings, total: number): (entries: readonly GgufEntry[]) => GgufEntry[] {
  let done = 0;
  return (entries) =>
    entries.map((entry) => ({
      ...entry,
      data: () => {
        onProgress?.(++done, total);
        return entry.data();
      },
    }));
}

function usage(model: ExportModel, settings: ExportSettings): string {
  const file = `${settings.name}-${languageType(settings)}.gguf`;
  if (model.kind !== "llava") return `With llama.cpp: \`llama-cli -m FOLDER/${file} -p "Once upon a time"\`.`;
  const chat = `llama-mtmd-cli -m FOLDER/${file} --mmproj FOLDER/${pictureFile(settings)} --image PICTURE -p "What is this?"`;
  const { template } = model.config;
  const spoken = template === undefined ? "" : `\n\nIt was trained with the conversation template \`${template}\`.`;
  return `With llama.cpp: \`${chat}\`. llama.cpp makes pictures square in its own way, so that answers may differ where this model's preprocessor crops or stretches them.${spoken}`;
}
