// What a weights file or a model folder holds, read from headers and config files alone.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { readGguf, type GgufFile } from "../formats/gguf.ts";
import { openFile, readJsonFile } from "../formats/node.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { readTorch } from "../formats/torch.ts";
import { parseLanguageConfig, parseLlavaConfig, parseVisionConfig, tokensPerPicture } from "../models/config.ts";
import type { LanguageConfig, LlavaConfig, VisionConfig } from "../models/config.ts";

export interface TensorFacts {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

export interface Inspection {
  readonly path: string;
  readonly format: "safetensors" | "gguf" | "pytorch";
  readonly files: readonly string[];
  readonly bytes: number;
  readonly parameters: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: readonly TensorFacts[];
  /** a model folder only: what config.json says, and where the parameters are */
  readonly model?: ModelFacts & { readonly parameters: Readonly<Record<Part, number>> };
}

type Part = "vision" | "projector" | "language";

/** The parts that a model folder has; a bare language model or vision tower has one. */
export interface ModelFacts {
  readonly vision?: Omit<VisionConfig, "raw">;
  readonly projector?: LlavaConfig["projector"];
  readonly features?: LlavaConfig["features"];
  /** of each view */
  readonly picture_tokens?: number;
  /** most tiles of a picture, where it is seen in tiles */
  readonly tiles?: number;
  readonly language?: Omit<LanguageConfig, "raw">;
  readonly template?: string;
}

/**
 * Reads a .safetensors or .gguf file, what torch.save wrote, or a folder with config.json and weights; no tensor's
 * values are read, and nothing in a pickle is executed.
 * @throws InputError `INSPECT_NOTHING` where neither lies, and what the formats and configs throw
 */
export async function inspect(path: string): Promise<Inspection> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) throw nothing(path, "nothing there");
  if (found.isDirectory()) return inspectModel(path);
  if (path.endsWith(".gguf")) return inspectGguf(path);
  return /\.(bin|pt|pth)$/.test(path) ? inspectTorch(path, [path]) : inspectSafetensors(path, [path]);
}

async function inspectModel(folder: string): Promise<Inspection> {
  const names = await readdir(folder);
  const model = names.includes("config.json") ? await readModelFacts(join(folder, "config.json")) : undefined;
  const found = { ...(await inspectWeights(folder, names)), path: folder };
  return model === undefined ? found : { ...found, model: { ...model, parameters: countParts(found.tensors, model) } };
}

async function inspectWeights(folder: string, names: readonly string[]): Promise<Inspection> {
  const shards = await shardNames(folder, names, "model.safetensors");
  if (shards.length > 0) return inspectSafetensors(folder, shards);
  const loose = names.filter((name) => name.endsWith(".safetensors"));
  if (loose.length > 0)
    return inspectSafetensors(
      folder,
      loose.map((name) => join(folder, name)),
    );
  const gguf = names.find((name) => name.endsWith(".gguf"));
  if (gguf !== undefined) return inspectGguf(join(folder, gguf));
  // other .bin files beside a model hold settings of its training
  const pickled = await shardNames(folder, names, "pytorch_model.bin");
  if (pickled.length > 0) return inspectTorch(folder, pickled);
  throw nothing(folder, "none of .safetensors, .gguf and pytorch_model.bin");
}

/** The shards that the index names, else the one file. */
async function shardNames(folder: string, names: readonly string[], whole: string): Promise<string[]> {
  const index = `${whole}.index.json`;
  if (names.includes(index)) {
    const { weight_map: map } = (await readJsonFile(join(folder, index))) as { weight_map?: Record<string, unknown> };
    const listed = [...new Set(Object.values(map ?? {}))].filter((name) => names.includes(String(name)));
    return listed.map((name) => join(folder, String(name)));
  }
  return names.includes(whole) ? [join(folder, whole)] : [];
}

async function inspectSafetensors(path: string, files: readonly string[]): Promise<Inspection> {
  const [tensors, metadata]: [TensorFacts[], Record<string, string>] = [[], {}];
  let bytes = 0;
  for (const file of files) {
    const source = await openFile(file);
    try {
      const { tensors: infos, metadata: texts } = await readSafetensors(source);
      for (const [name, { dtype, shape, byteLength }] of infos) tensors.push({ name, dtype, shape, bytes: byteLength });
      Object.assign(metadata, Object.fromEntries(texts));
      bytes += source.size;
    } finally {
      await source.close();
    }
  }
  return { path, format: "safetensors", files, bytes, parameters: parametersOf(tensors), metadata, tensors };
}

async function inspectTorch(path: string, files: readonly string[]): Promise<Inspection> {
  const tensors: TensorFacts[] = [];
  let bytes = 0;
  for (const file of files) {
    const source = await openFile(file);
    try {
      for (const [name, { dtype, shape, byteLength }] of (await readTorch(source)).tensors)
        tensors.push({ name, dtype, shape, bytes: byteLength });
      bytes += source.size;
    } finally {
      await source.close();
    }
  }
  return { path, format: "pytorch", files, bytes, parameters: parametersOf(tensors), metadata: {}, tensors };
}

async function inspectGguf(path: string): Promise<Inspection> {
  const source = await openFile(path);
  try {
    const file = await readGguf(source);
    const tensors = [...file.tensors].map(([name, { type, shape, byteLength }]) => {
      return { name, dtype: type, shape, bytes: byteLength };
    });
    const [bytes, parameters, metadata] = [source.size, parametersOf(tensors), ggufMetadata(file)];
    return { path, format: "gguf", files: [path], bytes, parameters, metadata, tensors };
  } finally {
    await source.close();
  }
}

function ggufMetadata({ version, metadata }: GgufFile): Record<string, string> {
  const shown = [...metadata.values].map(([key, value]) => [
    key,
    typeof value === "object" ? `a list of ${value.length}` : String(value),
  ]);
  return { "GGUF version": String(version), ...(Object.fromEntries(shown) as Record<string, string>) };
}

async function readModelFacts(path: string): Promise<ModelFacts> {
  const json = (await readJsonFile(path)) as { model_type?: unknown; vision_config?: unknown };
  if (json.model_type === "llava") {
    const { vision, language, projector, features, tiles, template } = parseLlavaConfig(json, path);
    const picture_tokens = tokensPerPicture({ vision, projector, features });
    const parts = { vision: withoutRaw(vision), projector, features, picture_tokens, language: withoutRaw(language) };
    return { ...parts, ...(tiles === undefined ? {} : { tiles }), ...(template === undefined ? {} : { template }) };
  }
  const isVision = json.vision_config !== undefined || /vit|vision/.test(String(json.model_type));
  if (isVision) return { vision: withoutRaw(parseVisionConfig(json, path)) };
  return { language: withoutRaw(parseLanguageConfig(json, path)) };
}

function countParts(tensors: readonly TensorFacts[], model: ModelFacts): Record<Part, number> {
  const counts = { vision: 0, projector: 0, language: 0 };
  for (const tensor of tensors) counts[partOf(tensor.name, model)] += parametersOf([tensor]);
  return counts;
}

function partOf(name: string, model: ModelFacts): Part {
  if (model.language === undefined || /^(model\.)?vision_tower\./.test(name)) return "vision";
  return /^(model\.)?multi_modal_projector\./.test(name) ? "projector" : "language";
}

/** Our reading of a config, without the file's own keys. */
function withoutRaw<T extends { readonly raw: unknown }>(config: T): Omit<T, "raw"> {
  const { raw, ...facts } = config;
  return raw === undefined ? config : facts;
}

function parametersOf(tensors: readonly TensorFacts[]): number {
  return tensors.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0);
}

function nothing(path: string, got: string): InputError {
  const expected = "a .safetensors, .gguf, .bin, .pt or .pth file, or a folder with config.json and weights";
  return new InputError("INSPECT_NOTHING", { expected, got, where: path });
}
