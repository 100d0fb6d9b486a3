// Writes a model directory in Hugging Face's llava layout; the folder appears whole or not at all.
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { flushFolder, writeFileAtomic } from "../formats/node.ts";
import { isAlive } from "../formats/process-node.ts";
import { encodeSafetensors, type SafetensorsEntry } from "../formats/safetensors-write.ts";
import { type Preprocessor, writePreprocessor } from "../image/preprocessor.ts";
import type { LlavaConfig } from "./config.ts";
import { llavaConfigText, type WrittenDType } from "./config-write.ts";
import { writeAdapter } from "./adapter-node.ts";
import type { Adapter } from "./lora.ts";
import { checkpointName, type ModelPart } from "./names.ts";
import type { TokenizerFiles } from "./node.ts";
import type { PartWeights } from "./weights.ts";

export interface ModelToSave {
  readonly config: LlavaConfig;
  readonly vision: PartWeights;
  readonly projector: PartWeights;
  readonly language: PartWeights;
  readonly tokenizerFiles: TokenizerFiles;
  readonly preprocessor: Preprocessor;
  /** ids that end an answer */
  readonly endIds: readonly number[];
  /** written beside the weights, which stay without it */
  readonly adapter?: Adapter;
  /** the text of README.md */
  readonly card?: string;
}

/** Tensor names of layout A: `vision_tower.…`, `multi_modal_projector.…`, `language_model.…`. */
export function checkpointEntries({
  config,
  vision,
  projector,
  language,
}: Pick<ModelToSave, "config" | ModelPart>): SafetensorsEntry[] {
  const entriesOf = (part: ModelPart, weights: PartWeights): SafetensorsEntry[] =>
    [...weights.shapes].map(([name, shape]) => ({
      name: checkpointName(part, name, config.vision.family),
      dtype: "F32",
      shape,
      data: () => weights.load(name),
    }));
  return [...entriesOf("vision", vision), ...entriesOf("projector", projector), ...entriesOf("language", language)];
}

/** Writes a llava checkpoint; throws what its weights throw when they are read. */
export function saveModel(folder: string, model: ModelToSave): Promise<void> {
  return writeFolder(folder, async (unfinished) => {
    const weights = encodeSafetensors(checkpointEntries(model), { format: "pt" });
    await writeFileAtomic(join(unfinished, "model.safetensors"), weights);
    await writeModelFiles(unfinished, model);
    if (model.adapter) await writeAdapter(unfinished, model.adapter, folder);
  });
}

interface ModelFilesOptions {
  /** of the weights beside */
  readonly dtype?: WrittenDType;
}

/** Writes every file of a llava checkpoint but its weights and its adapter. */
export async function writeModelFiles(
  folder: string,
  model: Omit<ModelToSave, ModelPart>,
  { dtype }: ModelFilesOptions = {},
): Promise<void> {
  const write = (name: string, text: string): Promise<void> => writeFileAtomic(join(folder, name), text);
  await write("config.json", llavaConfigText(model.config, dtype));
  for (const [name, json] of Object.entries(jsonFiles(model))) {
    await write(name, `${JSON.stringify(json, null, 2)}\n`);
  }
  const { card, tokenizerFiles } = model;
  if (tokenizerFiles.chatTemplate !== undefined) await write("chat_template.jinja", tokenizerFiles.chatTemplate);
  if (card !== undefined) await write("README.md", card);
}

/** Lets `write` fill a folder beside and renames it; an older folder of that name is replaced at the end. */
export async function writeFolder(folder: string, write: (unfinished: string) => Promise<void>): Promise<void> {
  const unfinished = join(dirname(folder), `.${process.pid}.model.tmp`);
  const replaced = join(dirname(folder), `.${process.pid}.model.old.tmp`);
  for (const leftover of [unfinished, replaced]) await rm(leftover, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  try {
    await write(unfinished);
    // the older folder stays until the new one stands in its place
    await rename(folder, replaced).catch(ignoreMissing);
    await rename(unfinished, folder);
    await flushFolder(dirname(folder));
    await removeAbandoned(dirname(folder));
  } finally {
    await rm(unfinished, { recursive: true, force: true });
    await rm(replaced, { recursive: true, force: true });
  }
}

/** Removes what killed processes left: whole models. */
async function removeAbandoned(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = /^\.(\d+)\.model(?:\.old)?\.tmp$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(parent, name), { recursive: true, force: true });
  }
}

function jsonFiles({
  config,
  tokenizerFiles,
  preprocessor,
  endIds,
}: Omit<ModelToSave, ModelPart>): Readonly<Record<string, unknown>> {
  const { vision, features } = config;
  const processor = {
    processor_class: "LlavaProcessor",
    patch_size: vision.patchSize * config.projector.pixelShuffle,
    vision_feature_select_strategy: features.select,
    image_token: "<image>",
    // transformers counts patches + this, minus one for "default": a tower without class token has none to add
    num_additional_image_tokens: vision.family === "siglip" ? 0 : 1,
  };
  return {
    "generation_config.json": { eos_token_id: endIds.length === 1 ? endIds[0] : endIds },
    "tokenizer.json": tokenizerFiles.tokenizerJson,
    "tokenizer_config.json": {
      ...tokenizerFiles.tokenizerConfig,
      image_token: "<image>",
      processor_class: "LlavaProcessor",
    },
    "preprocessor_config.json": { ...writePreprocessor(preprocessor), processor_class: "LlavaProcessor" },
    "processor_config.json": processor,
  };
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}
