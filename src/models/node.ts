// Opens model directories: Hugging Face's llava, stand-alone vision towers and language models, and GGUF language models.
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InputError } from "../errors.ts";
import { unpermuteRows } from "../formats/gguf-rope.ts";
import type { Shape } from "../graph/tensor.ts";
import { adapterBase, holdsAdapter, withAdapter } from "./adapter-node.ts";
import {
  type LanguageConfig,
  type LlavaConfig,
  parseLanguageConfig,
  parseLlavaConfig,
  parseVisionConfig,
  type VisionConfig,
} from "./config.ts";
import { embeddingName, languageShapes } from "./llama.ts";
import {
  canonicalLlavaName,
  checkpointName,
  ggufName,
  type ModelPart,
  partPrefix,
  visionFileName,
  visionPrefix,
} from "./names.ts";
import { projectorShapes } from "./projector.ts";
import { exists, type Json, openTensors, optionalObject, readObject, renamed } from "./tensors-node.ts";
import { readTokenizer, type TokenizerFiles } from "./tokenizer-node.ts";
import { visionShapes } from "./vision.ts";
import { partWeights, type PartWeights, type TensorReader } from "./weights.ts";

export type { TokenizerFiles };

export interface LanguageFiles {
  readonly kind: "language";
  readonly where: string;
  readonly config: LanguageConfig;
  readonly weights: PartWeights;
  /** read when asked for: a checkpoint may come without */
  tokenizer(): Promise<TokenizerFiles>;
  /** ids that end an answer, from generation_config.json and config.json */
  readonly endIds: readonly number[];
  close(): Promise<void>;
}

export interface VisionFiles {
  readonly kind: "vision";
  readonly where: string;
  readonly config: VisionConfig;
  readonly weights: PartWeights;
  /** preprocessor_config.json (or the image processor inside processor_config.json) */
  preprocessor(): Promise<unknown>;
  close(): Promise<void>;
}

export interface LlavaFiles {
  readonly kind: "llava";
  readonly where: string;
  readonly config: LlavaConfig;
  readonly vision: PartWeights;
  readonly projector: PartWeights;
  readonly language: PartWeights;
  /** read when asked for: a checkpoint may come without */
  tokenizer(): Promise<TokenizerFiles>;
  preprocessor(): Promise<unknown>;
  readonly endIds: readonly number[];
  close(): Promise<void>;
}

const visionTypes = ["clip", "clip_vision_model", "siglip", "siglip_vision_model", "vit"];

export interface OpenModelOptions {
  /**
   * folder of a PEFT adapter to put onto the weights, instead of one that lies in the model's own folder; false: none, the
   * weights as they are
   */
  readonly adapter?: string | false | undefined;
}

/**
 * Opens whatever kind of model lies in a folder (or a .gguf file beside its config, or an adapter's folder that names its
 * model). Throws `MODEL_MISSING`, `MODEL_KIND`, `WEIGHTS_…`, `ADAPTER_…`.
 */
export async function openModel(
  path: string,
  options: OpenModelOptions = {},
): Promise<LlavaFiles | LanguageFiles | VisionFiles> {
  const { folder } = await locate(path);
  if (!(await exists(join(folder, "config.json"))) && (await holdsAdapter(folder))) {
    return openModel(await adapterBase(folder), { adapter: folder, ...options });
  }
  const config = await readObject(join(folder, "config.json"));
  const type = String(config["model_type"]);
  if (type === "llava") return openLlava(path, options);
  return visionTypes.includes(type) ? openVision(path) : openLanguage(path, options);
}

/**
 * A llava checkpoint of any of the three layouts that transformers has written (training-checkpoint names A, B, C).
 * Throws `MODEL_CONFIG`, `MODEL_ROPE`, `WEIGHTS_MISMATCH`, `WEIGHTS_MISSING`, `WEIGHTS_INDEX`, `ADAPTER_…`.
 */
export async function openLlava(path: string, { adapter }: OpenModelOptions = {}): Promise<LlavaFiles> {
  const { folder } = await locate(path);
  const where = join(folder, "config.json");
  const json = await readObject(where);
  const stated = parseLlavaConfig(json, where);
  return keepOpen(await openTensors(folder), async (opened) => {
    const reader = renamed(opened, canonicalLlavaName);
    refuseStrangers(reader);
    const language = settleTied(
      stated.language,
      json,
      reader.shapes.has(checkpointName("language", "lm_head.weight", "clip")),
    );
    const config = { ...stated, language };
    const part = (name: ModelPart, shapes: ReadonlyMap<string, Shape>, ignored?: RegExp): PartWeights =>
      partWeights(reader, shapes, {
        fileName: (weight) => checkpointName(name, weight, config.vision.family),
        prefix: partPrefix[name],
        ...(ignored && { ignored }),
      });
    return {
      kind: "llava",
      where: folder,
      config,
      vision: part("vision", visionShapes(config.vision), unusedVision),
      ...(await withAdapter(
        {
          projector: part("projector", projectorShapes(config)),
          language: part("language", languageShapes(language), unusedLanguage(language)),
        },
        folder,
        adapter,
      )),
      tokenizer: () => readTokenizer(folder),
      preprocessor: () => readPreprocessor(folder),
      endIds: await readEndIds(folder, (json["text_config"] as Json | undefined) ?? json),
      close: reader.close,
    };
  });
}

/** A stand-alone CLIP, SigLIP or ViT tower (a whole CLIP model's text half is left alone). Throws as `openLlava` does. */
export async function openVision(path: string): Promise<VisionFiles> {
  const { folder } = await locate(path);
  const where = join(folder, "config.json");
  const config = parseVisionConfig(await readObject(where), where);
  return keepOpen(await openTensors(folder), async (reader) => {
    // a bare tower is saved without the prefix by some versions of transformers
    const prefix = [...reader.shapes.keys()].some((name) => name.startsWith(visionPrefix[config.family]))
      ? visionPrefix[config.family]
      : "";
    return {
      kind: "vision",
      where: folder,
      config,
      weights: partWeights(reader, visionShapes(config), {
        fileName: (name) => prefix + visionFileName(config.family, name),
        prefix,
        ignored: unusedVision,
      }),
      preprocessor: () => readPreprocessor(folder),
      close: reader.close,
    };
  });
}

/**
 * A language model from safetensors or GGUF; with GGUF the folder still holds config.json and the tokenizer.
 * Throws as `openLlava` does.
 */
export async function openLanguage(path: string, { adapter }: OpenModelOptions = {}): Promise<LanguageFiles> {
  const { folder } = await locate(path);
  const where = join(folder, "config.json");
  const json = await readObject(where);
  const stated = parseLanguageConfig(json, where);
  return keepOpen(await openTensors(path), async (opened) => {
    const gguf = opened.shapes.has("token_embd.weight");
    const config = settleTied(stated, json, opened.shapes.has(gguf ? "output.weight" : "lm_head.weight"));
    // some files keep a tied matrix under the output's name only
    const reader =
      config.tied && !gguf && !opened.shapes.has(embeddingName)
        ? renamed(opened, (name) => (name === "lm_head.weight" ? embeddingName : name))
        : opened;
    const weights = partWeights(reader, languageShapes(config), {
      fileName: gguf ? ggufName : (name) => name,
      ignored: unusedLanguage(config),
      ...(gguf && config.family !== "qwen2" ? { reorder: (name, data) => unpermuted(name, data, config) } : {}),
    });
    return {
      kind: "language",
      where: folder,
      config,
      weights: (await withAdapter({ language: weights }, folder, adapter)).language,
      tokenizer: () => readTokenizer(folder),
      endIds: await readEndIds(folder, json),
      close: reader.close,
    };
  });
}

/** What opens a model further; when that fails the files are closed. */
async function keepOpen<T>(reader: TensorReader, work: (reader: TensorReader) => Promise<T>): Promise<T> {
  try {
    return await work(reader);
  } catch (error) {
    await reader.close();
    throw error;
  }
}

/** Where no config says whether embedding and output matrix are one, the file does: without an output matrix they are. */
function settleTied(config: LanguageConfig, json: Json, hasOutput: boolean): LanguageConfig {
  const said = config.raw["tie_word_embeddings"] ?? json["tie_word_embeddings"];
  return said === undefined ? { ...config, tied: !hasOutput } : config;
}

/** Tensors of a llava checkpoint that belong to none of its parts. */
function refuseStrangers({ shapes, where }: TensorReader): void {
  const known = Object.values(partPrefix);
  const strangers = [...shapes.keys()].filter((name) => !known.some((prefix) => name.startsWith(prefix)));
  if (strangers.length === 0) return;
  const expected = `tensors below ${known.join(", ")}`;
  throw new InputError("WEIGHTS_MISMATCH", { expected, got: `unexpected ${strangers.slice(0, 3).join(", ")}`, where });
}

const unusedVision =
  /position_ids$|^text_model\.|^(visual|text)_projection\.|^logit_(scale|bias)$|^(vision_model\.)?head\.|classifier\.|pooler\./;
const unusedLanguage = (c: LanguageConfig): RegExp =>
  c.tied
    ? /rotary_emb\.inv_freq$|rope_freqs|^(language_model\.)?lm_head\.weight$|^output\.weight$/
    : /rotary_emb\.inv_freq$|rope_freqs/;

/** llama.cpp stores the rows of q and k permuted for interleaved rotary positions; undo that (SOURCE: convert_hf_to_gguf's permute). */
function unpermuted<A extends Float32Array | Uint16Array | Uint8Array>(name: string, data: A, c: LanguageConfig): A {
  const match = /self_attn\.([qk])_proj\.(weight|bias)$/.exec(name);
  if (!match) return data;
  const heads = match[1] === "q" ? c.heads : c.keyValueHeads;
  const rows = heads * c.headSize;
  return unpermuteRows(data, rows, data.length / rows, heads);
}

async function locate(path: string): Promise<{ folder: string }> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) {
    throw new InputError("MODEL_MISSING", {
      expected: "a model folder or .gguf file",
      got: "nothing there",
      where: path,
      fix: "check the path",
    });
  }
  return { folder: found.isDirectory() ? path : dirname(path) };
}

async function readPreprocessor(folder: string): Promise<unknown> {
  const own = await optionalObject(join(folder, "preprocessor_config.json"));
  if (own !== undefined) return own;
  const processor = await optionalObject(join(folder, "processor_config.json"));
  if (processor !== undefined) return processor;
  throw new InputError("PREPROCESSOR_MISSING", {
    expected: "preprocessor_config.json",
    got: "none",
    where: folder,
    fix: "copy it from the model that the weights come from",
  });
}

async function readEndIds(folder: string, config: Json): Promise<number[]> {
  const generation = await optionalObject(join(folder, "generation_config.json"));
  const ids = [generation?.["eos_token_id"], config["eos_token_id"]].flat();
  return [...new Set(ids.filter((id): id is number => Number.isInteger(id)))];
}
