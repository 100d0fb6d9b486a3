// Opens model folders and pictures for answering on Node.
import { InputError } from "../errors.ts";
import { decodePicture, pictureHash, readPictureBytes } from "../image/node.ts";
import { holdsAdapter } from "../models/adapter-node.ts";
import type { LanguageConfig } from "../models/config.ts";
import { type LanguageFiles, type LlavaFiles, openModel } from "../models/node.ts";
import { templateFor } from "../models/template.ts";
import type { PartWeights } from "../models/weights.ts";
import type { Engine } from "../runtime/engine.ts";
import { createTokenizer } from "../text/tokenizer.ts";
import { adaptedAssistant, type LoadedModel } from "./adapted-node.ts";
import type { Assistant, Picture } from "./assistant.ts";
import { createAttentionReader } from "./attention-maps.ts";
import { createBlockDecoder } from "./block-decoder.ts";
import { openBlocks, type WeightForm } from "./block-files-node.ts";
import { createGenerator, generatorOver } from "./generator.ts";
import { openSight } from "./sight-node.ts";
import { uploadWeights } from "./weights.ts";

export interface OpenOptions {
  readonly engine: Engine;
  /** a conversation template by name, "model" for the model's own; else what the model was trained with, else its own */
  readonly template?: string | undefined;
  /** folder of a PEFT adapter for this model */
  readonly adapter?: string | undefined;
  /** how the language model's weights lie in memory: as they are ("float32", unless told), or in blocks of few bits */
  readonly weights?: WeightForm | undefined;
  /** told how many of the language model's tensors are loaded */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Opens a llava model, or a bare language model (which answers words alone), and loads it into the engine.
 * Throws as `openModel` and `templateFor`, `MODEL_KIND` for a vision tower, `PREPROCESSOR_…`, `TOKENIZER_INVALID`.
 */
export async function openAssistant(path: string, options: OpenOptions): Promise<Assistant> {
  const [assistant] = await openAssistants(path, [], options);
  return assistant!;
}

/**
 * Opens a model as `openAssistant` does and, behind it, the model with each of several adapters: they share its weights,
 * so the first is released last. Throws as `openAssistant` and `readAdapter`, `ADAPTER_TWICE`.
 */
export async function openAssistants(
  path: string,
  adapters: readonly string[],
  options: OpenOptions,
): Promise<Assistant[]> {
  const files = await openModel(path, options);
  try {
    if (files.kind === "vision") {
      const fix = "name a model made by llava train, or a language model";
      throw new InputError("MODEL_KIND", { expected: "a model that answers", got: "a vision tower", where: path, fix });
    }
    if (adapters.length > 0 && ((await holdsAdapter(path)) || (await holdsAdapter(files.where)))) {
      const fix = "make one model of it with llava merge, or name the model that it stands on";
      const expected = "a model without an adapter of its own";
      throw new InputError("ADAPTER_TWICE", { expected, got: "one with an adapter inside", where: path, fix });
    }
    if (options.weights !== undefined && options.weights !== "float32") {
      return [await openInBlocks(files, path, { ...options, weights: options.weights }, adapters)];
    }
    const model = await loadModel(files, path, options);
    const adapted: Assistant[] = [];
    for (const folder of adapters) adapted.push(await adaptedAssistant(model, folder));
    return [model.assistant, ...adapted];
  } finally {
    await files.close();
  }
}

async function loadModel(files: LlavaFiles | LanguageFiles, path: string, options: OpenOptions): Promise<LoadedModel> {
  const { engine, onProgress } = options;
  const around = await openAround(files, path, options);
  const { config, weights } = languageOf(files);
  const language = await uploadWeights(engine, weights, onProgress);
  const { parameter } = language;
  const generator = createGenerator({ engine, config, parameter });
  const attention = createAttentionReader(engine, config, { parameter });
  const release = async (): Promise<void> => {
    await generator.release();
    await attention.release();
    await around.release();
    language.release();
  };
  return { engine, files, config, parameter, assistant: { ...around.parts, generator, attention, release } };
}

/** A model whose language part answers out of blocks of few bits. Throws `ADAPTER_BLOCKS` and as `openBlocks`. */
async function openInBlocks(
  files: LlavaFiles | LanguageFiles,
  path: string,
  options: OpenOptions & { readonly weights: Exclude<WeightForm, "float32"> },
  adapters: readonly string[],
): Promise<Assistant> {
  const { engine, weights: form, adapter, onProgress } = options;
  if (adapters.length > 0) {
    const fix = "make one model of each with llava merge, or serve them with --weights float32";
    const expected = "float32 weights that adapters can share";
    throw new InputError("ADAPTER_BLOCKS", { expected, got: `${form} with an adapter beside`, where: path, fix });
  }
  const around = await openAround(files, path, options);
  const { config, weights } = languageOf(files);
  const folders = [path, files.where, ...(adapter === undefined ? [] : [adapter])];
  const model = await openBlocks({ config, weights, folders, form, onProgress });
  const generator = generatorOver(await createBlockDecoder(engine, config, model), { config });
  const release = async (): Promise<void> => {
    await generator.release();
    await around.release();
  };
  return { ...around.parts, generator, release };
}

function languageOf(files: LlavaFiles | LanguageFiles): { config: LanguageConfig; weights: PartWeights } {
  return files.kind === "llava" ? { config: files.config.language, weights: files.language } : files;
}

/** Everything of an assistant but what runs the language model. */
async function openAround(
  files: LlavaFiles | LanguageFiles,
  path: string,
  { engine, template: named }: OpenOptions,
): Promise<{ parts: Omit<Assistant, "generator" | "attention" | "release">; release(): Promise<void> }> {
  const tokenizerFiles = await files.tokenizer();
  const tokenizer = createTokenizer(tokenizerFiles);
  const trained = files.kind === "llava" ? files.config.template : undefined;
  const template = templateFor(tokenizer, {
    name: named ?? trained,
    chatTemplate: tokenizerFiles.chatTemplate,
    where: path,
  });
  const sight = files.kind === "llava" ? await openSight(engine, files) : undefined;
  const { endIds } = files;
  const parts = { tokenizer, template, endIds, where: path, ...(sight && { sight: sight.sight }) };
  return { parts, release: async () => sight?.release() };
}

/** Reads and decodes a picture file. Throws `PICTURE_…` as `readPicture`. */
export async function readChatPicture(path: string): Promise<Picture> {
  return { ...(await decodeChatPicture(await readPictureBytes(path), path)), path };
}

/** Decodes a picture's bytes; `where` names it in errors. Throws `PICTURE_…` as `decodePicture`. */
export async function decodeChatPicture(bytes: Uint8Array, where: string): Promise<Picture> {
  return { key: pictureHash(bytes), pixels: await decodePicture(bytes, where) };
}
