// Opens model directories: Hugging Face's llava, stand-alone vision towers and language models, and GGUF language models.
import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { InputError } from "../errors.ts";
import { openFile, readJsonFile, readTextFile } from "../formats/node.ts";
import { unpermuteRows } from "../formats/gguf-rope.ts";
import { readGguf } from "../formats/gguf.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import type { Shape } from "../graph/tensor.ts";
import {
  type LanguageConfig,
  type LlavaConfig,
  parseLanguageConfig,
  parseLlavaConfig,
  parseVisionConfig,
  type VisionConfig,
} from "./config.ts";
import { languageShapes } from "./llama.ts";
import { ggufName, visionFileName, visionPrefix } from "./names.ts";
import { projectorShapes } from "./projector.ts";
import { visionShapes } from "./vision.ts";
import { partWeights, type PartWeights, type TensorReader } from "./weights.ts";

/** What a tokenizer is made of, as JSON. */
export interface TokenizerFiles {
  readonly where: string;
  readonly tokenizerJson: unknown;
  readonly tokenizerConfig: Readonly<Record<string, unknown>>;
  /** the model's own chat template (chat_template.jinja, else tokenizer_config.json's) */
  readonly chatTemplate?: string;
}

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

type Json = Readonly<Record<string, unknown>>;
const visionTypes = ["clip", "clip_vision_model", "siglip", "siglip_vision_model", "vit"];

/** Opens whatever kind of model lies in a folder (or a .gguf file beside its config). Throws `MODEL_MISSING`, `MODEL_KIND`, `WEIGHTS_…`. */
export async function openModel(path: string): Promise<LlavaFiles | LanguageFiles | VisionFiles> {
  const { folder } = await locate(path);
  const config = await readConfig(folder);
  const type = String(config["model_type"]);
  if (type === "llava") return openLlava(path);
  return visionTypes.includes(type) ? openVision(path) : openLanguage(path);
}

/** A llava checkpoint of any of the three layouts that transformers has written (training-checkpoint names A, B, C). */
export async function openLlava(path: string): Promise<LlavaFiles> {
  const { folder } = await locate(path);
  const json = await readConfig(folder);
  const config = parseLlavaConfig(json, join(folder, "config.json"));
  const reader = renamed(await openTensors(folder), canonicalLlavaName);
  const tower = `vision_tower.${visionPrefix[config.vision.family]}`;
  return {
    kind: "llava",
    where: folder,
    config,
    vision: partWeights(reader, visionShapes(config.vision), {
      fileName: (name) => tower + visionFileName(config.vision.family, name),
      prefix: "vision_tower.",
      ignored: unusedVision,
    }),
    projector: partWeights(reader, projectorShapes(config), {
      fileName: (name) => `multi_modal_projector.${name}`,
      prefix: "multi_modal_projector.",
    }),
    language: partWeights(reader, languageShapes(config.language), {
      fileName: (name) => `language_model.${name}`,
      prefix: "language_model.",
      ignored: unusedLanguage(config.language),
    }),
    tokenizer: () => readTokenizer(folder),
    preprocessor: () => readPreprocessor(folder),
    endIds: await readEndIds(folder, (json["text_config"] as Json | undefined) ?? json),
    close: reader.close,
  };
}

/** A stand-alone CLIP, SigLIP or ViT tower (a whole CLIP model's text half is left alone). */
export async function openVision(path: string): Promise<VisionFiles> {
  const { folder } = await locate(path);
  const config = parseVisionConfig(await readConfig(folder), join(folder, "config.json"));
  const reader = await openTensors(folder);
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
}

/** A language model from safetensors or GGUF; with GGUF the folder still holds config.json and the tokenizer. */
export async function openLanguage(path: string): Promise<LanguageFiles> {
  const { folder } = await locate(path);
  const json = await readConfig(folder);
  const stated = parseLanguageConfig(json, join(folder, "config.json"));
  const reader = await openTensors(path);
  const gguf = reader.shapes.has("token_embd.weight");
  // a file without an output matrix is tied, whatever its config forgot to say
  const tied = !reader.shapes.has(gguf ? "output.weight" : "lm_head.weight") || (stated.tied && gguf);
  // TinyStories-like files keep a tied matrix under the output's name only
  const renamedReader =
    !gguf && !reader.shapes.has("model.embed_tokens.weight") && stated.tied
      ? renamed(reader, (name) => (name === "lm_head.weight" ? "model.embed_tokens.weight" : name))
      : reader;
  const config = { ...stated, tied: tied || stated.tied };
  return {
    kind: "language",
    where: folder,
    config,
    weights: partWeights(renamedReader, languageShapes(config), {
      fileName: gguf ? ggufName : (name) => name,
      ignored: unusedLanguage(config),
      ...(gguf && config.family !== "qwen2"
        ? { reorder: (name: string, data: Float32Array) => unpermuted(name, data, config) }
        : {}),
    }),
    tokenizer: () => readTokenizer(folder),
    endIds: await readEndIds(folder, json),
    close: reader.close,
  };
}

const unusedVision =
  /position_ids$|^text_model\.|^(visual|text)_projection\.|^logit_(scale|bias)$|^(vision_model\.)?head\.|classifier\.|pooler\./;
const unusedLanguage = (c: LanguageConfig): RegExp =>
  c.tied
    ? /rotary_emb\.inv_freq$|rope_freqs|^(language_model\.)?lm_head\.weight$|^output\.weight$/
    : /rotary_emb\.inv_freq$|rope_freqs/;

/** llama.cpp stores the rows of q and k permuted for interleaved rotary positions; undo that (SOURCE: convert_hf_to_gguf's permute). */
function unpermuted(name: string, data: Float32Array, c: LanguageConfig): Float32Array {
  const match = /self_attn\.([qk])_proj\.(weight|bias)$/.exec(name);
  if (!match) return data;
  const heads = match[1] === "q" ? c.heads : c.keyValueHeads;
  const rows = heads * c.headSize;
  return unpermuteRows(data, rows, data.length / rows, heads);
}

/** Layout B (`model.language_model.…`, `lm_head.weight`) and C (`vision_tower.embeddings…`) to layout A. */
function canonicalLlavaName(name: string): string {
  if (name === "lm_head.weight") return "language_model.lm_head.weight";
  if (name.startsWith("model.language_model."))
    return `language_model.model.${name.slice("model.language_model.".length)}`;
  const bare = name.startsWith("model.") ? name.slice("model.".length) : name;
  return bare.replace(
    /^vision_tower\.(embeddings|encoder|pre_layrnorm|post_layernorm|head)\b/,
    "vision_tower.vision_model.$1",
  );
}

function renamed(reader: TensorReader, rename: (name: string) => string): TensorReader {
  const originals = new Map([...reader.shapes.keys()].map((name) => [rename(name), name]));
  return {
    ...reader,
    shapes: new Map([...originals].map(([name, original]) => [name, reader.shapes.get(original)!])),
    load: (name) => reader.load(originals.get(name)!),
  };
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

async function readConfig(folder: string): Promise<Json> {
  const json = await readJsonFile(join(folder, "config.json"));
  if (json === null || typeof json !== "object" || Array.isArray(json)) {
    throw new InputError("MODEL_CONFIG", {
      expected: "an object",
      got: JSON.stringify(json).slice(0, 40),
      where: join(folder, "config.json"),
    });
  }
  return json as Json;
}

/** The tensors of a folder (one safetensors file, shards with an index, or one GGUF file) or of the file itself. */
async function openTensors(path: string): Promise<TensorReader> {
  if (path.endsWith(".gguf")) return openGguf(path);
  if (path.endsWith(".safetensors")) return openSafetensors([path], path);
  const index = await optionalJson(join(path, "model.safetensors.index.json"));
  if (index !== undefined) {
    const shards = [...new Set(Object.values((index["weight_map"] ?? {}) as Record<string, string>))];
    const escaping = shards.find((name) => basename(name) !== name);
    if (escaping !== undefined) {
      throw new InputError("WEIGHTS_INDEX", {
        expected: "shards beside the index",
        got: escaping,
        where: join(path, "model.safetensors.index.json"),
      });
    }
    return openSafetensors(
      shards.map((name) => join(path, name)),
      path,
    );
  }
  if (await exists(join(path, "model.safetensors"))) return openSafetensors([join(path, "model.safetensors")], path);
  const { readdir } = await import("node:fs/promises");
  const ggufs = (await readdir(path)).filter((name) => name.endsWith(".gguf"));
  if (ggufs.length === 1) return openGguf(join(path, ggufs[0]!));
  throw new InputError("WEIGHTS_MISSING", {
    expected: "model.safetensors, model.safetensors.index.json or one .gguf file",
    got: ggufs.length > 1 ? `${ggufs.length} .gguf files` : "none of them",
    where: path,
    fix: ggufs.length > 1 ? "name the .gguf file itself" : "check that the weights were downloaded",
  });
}

async function openSafetensors(paths: readonly string[], where: string): Promise<TensorReader> {
  const sources = await Promise.all(paths.map(openFile));
  const files = await Promise.all(sources.map(readSafetensors));
  const owner = new Map(files.flatMap((file) => [...file.tensors.keys()].map((name) => [name, file] as const)));
  return {
    where,
    shapes: new Map([...owner].map(([name, file]) => [name, file.tensors.get(name)!.shape as Shape])),
    load: (name) => owner.get(name)!.loadFloat32(name),
    close: async () => void (await Promise.all(sources.map((source) => source.close()))),
  };
}

async function openGguf(path: string): Promise<TensorReader> {
  const source = await openFile(path);
  const file = await readGguf(source);
  return {
    where: path,
    shapes: new Map([...file.tensors].map(([name, info]) => [name, info.shape])),
    load: (name) => file.loadFloat32(name),
    close: () => source.close(),
  };
}

async function readTokenizer(folder: string): Promise<TokenizerFiles> {
  const tokenizerConfig = (await optionalJson(join(folder, "tokenizer_config.json"))) ?? {};
  const file = join(folder, "chat_template.jinja");
  const inline = tokenizerConfig["chat_template"];
  const chatTemplate = (await exists(file))
    ? await readTextFile(file, { maxBytes: 1 << 20 })
    : typeof inline === "string"
      ? inline
      : undefined;
  return {
    where: folder,
    tokenizerJson: await readJsonFile(join(folder, "tokenizer.json")),
    tokenizerConfig,
    ...(chatTemplate === undefined ? {} : { chatTemplate }),
  };
}

async function readPreprocessor(folder: string): Promise<unknown> {
  const own = await optionalJson(join(folder, "preprocessor_config.json"));
  if (own !== undefined) return own;
  const processor = await optionalJson(join(folder, "processor_config.json"));
  if (processor !== undefined) return processor;
  throw new InputError("PREPROCESSOR_MISSING", {
    expected: "preprocessor_config.json",
    got: "none",
    where: folder,
    fix: "copy it from the model that the weights come from",
  });
}

async function readEndIds(folder: string, config: Json): Promise<number[]> {
  const generation = await optionalJson(join(folder, "generation_config.json"));
  const ids = [generation?.["eos_token_id"], config["eos_token_id"]].flat();
  return [...new Set(ids.filter((id): id is number => Number.isInteger(id)))];
}

async function optionalJson(path: string): Promise<Json | undefined> {
  return (await exists(path)) ? ((await readJsonFile(path)) as Json) : undefined;
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
