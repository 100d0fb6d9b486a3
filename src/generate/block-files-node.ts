// Models in blocks on disk: made once, found again by what the model's files are.
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, realpath, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { InputError, LlavaError } from "../errors.ts";
import { float16Table, float32ToFloat16 } from "../formats/half.ts";
import { requireRoom, writeFailure, writeFileAtomic } from "../formats/node.ts";
import { isAlive } from "../formats/process-node.ts";
import { onnxFiles, type OnnxGraph } from "../graph/onnx-model.ts";
import type { LanguageConfig } from "../models/config.ts";
import { embeddingName } from "../models/llama.ts";
import type { PartWeights } from "../models/weights.ts";
import type { ModelFile } from "../runtime/engine.ts";
import type { BlockModel } from "./block-decoder.ts";
import { blockForms, blockGraph, cacheInPlace } from "./block-graph.ts";

/** Weights as they are, or rounded to blocks of 8 or 4 bits. */
export const weightForms = ["float32", "int8", "int4"] as const;
export type WeightForm = (typeof weightForms)[number];

/** Of the files' layout: another one is made anew. */
const version = 2;
const embeddingFile = "embedding.float16";
const modelFile = "model.onnx";

export interface BlockSource {
  readonly config: LanguageConfig;
  readonly weights: PartWeights;
  /** the folders that the weights come from: their files' sizes and times say whether blocks are still theirs */
  readonly folders: readonly string[];
  readonly form: Exclude<WeightForm, "float32">;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * The model in blocks, out of the cache, or made and put there (LLAVA_CACHE, or ~/.cache/llava-ts; one that is cut off
 * leaves nothing that counts). Throws `BLOCKS_HEAD_SIZE`, what reading the weights throws, `DISK_FULL` and what else `writeFailure` makes.
 */
export async function openBlocks(source: BlockSource): Promise<BlockModel> {
  checkHeads(source.config, source.folders[0]);
  const root = join(process.env["LLAVA_CACHE"] || join(homedir(), ".cache", "llava-ts"), "blocks");
  const folder = join(root, await keyOf(source));
  const { config, weights, onProgress } = source;
  let done = 0;
  const total = weights.shapes.size;
  // a tied embedding is read twice
  const loaded = (): void => onProgress?.(Math.min(++done, total), total);
  const graph = blockGraph(config, weights, blockForms[source.form], loaded);
  if (!(await isWhole(folder))) {
    await sweep(root);
    await make(folder, graph, weights);
    loaded();
  }
  const file: ModelFile = {
    name: `${source.form} language model`,
    path: join(folder, modelFile),
    inputs: graph.inputs,
    outputs: graph.outputs,
    inPlace: cacheInPlace(config),
  };
  return { file, embed: embedderOf(await readFile(join(folder, embeddingFile)), config.hiddenSize) };
}

/** The kernel of attention that turns queries and keys by itself wants whole groups of 16. */
function checkHeads({ headSize }: LanguageConfig, where = ""): void {
  if (headSize % 16 === 0) return;
  const fix = "answer with --weights float32";
  const expected = "attention heads whose size is a multiple of 16";
  throw new InputError("BLOCKS_HEAD_SIZE", { expected, got: String(headSize), where, fix });
}

/** Names, sizes and times of all files that say what the weights are. */
async function keyOf({ folders, form, config }: BlockSource): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify([version, form, config]));
  for (const folder of folders) {
    const real = await realpath(folder);
    const info = await stat(real);
    const names = info.isDirectory() ? (await readdir(real)).sort() : [""];
    for (const name of names) {
      const { size, mtimeMs } = await stat(join(real, name));
      if (name === "" || /\.(?:safetensors|bin|gguf|json)$/.test(name))
        hash.update(JSON.stringify([real, name, size, mtimeMs]));
    }
  }
  return hash.digest("hex").slice(0, 32);
}

/** A folder is renamed into its place when all is written; sizes tell of what was done to it later. */
async function isWhole(folder: string): Promise<boolean> {
  try {
    const { sizes } = JSON.parse(await readFile(join(folder, "files.json"), "utf8")) as { sizes: [string, number][] };
    for (const [name, size] of sizes) if ((await stat(join(folder, name))).size !== size) return false;
    return sizes.length > 0;
  } catch {
    return false;
  }
}

/** Removes what processes that are gone left unfinished. */
async function sweep(root: string): Promise<void> {
  for (const name of await readdir(root).catch(() => [])) {
    const pid = /\.(\d+)\.[0-9a-f]{8}\.tmp$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(root, name), { recursive: true, force: true });
  }
}

async function make(folder: string, graph: OnnxGraph, weights: PartWeights): Promise<void> {
  const beside = `${folder}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;
  try {
    await mkdir(beside, { recursive: true });
    const bytes = graph.weights.reduce((sum, { byteLength }) => sum + byteLength, 0);
    await requireRoom(beside, bytes, folder, " for the model in blocks");
    const sizes: [string, number][] = [];
    const write = async (name: string, content: Parameters<typeof writeFileAtomic>[1]): Promise<void> => {
      await writeFileAtomic(join(beside, name), content);
      sizes.push([name, (await stat(join(beside, name))).size]);
    };
    for await (const { name, content } of onnxFiles(graph, modelFile, { oneFile: 0, chunk: Infinity })) {
      await write(name, content);
    }
    const halves = float32ToFloat16(await weights.load(embeddingName));
    await write(embeddingFile, new Uint8Array(halves.buffer));
    await writeFileAtomic(join(beside, "files.json"), `${JSON.stringify({ sizes })}\n`);
    await rm(folder, { recursive: true, force: true });
    await rename(beside, folder);
  } catch (error) {
    await rm(beside, { recursive: true, force: true });
    // another process was first
    if ((error as NodeJS.ErrnoException).code === "ENOTEMPTY" || (error as NodeJS.ErrnoException).code === "EEXIST")
      return;
    throw error instanceof LlavaError ? error : writeFailure(folder, error);
  }
}

function embedderOf(bytes: Uint8Array, width: number): BlockModel["embed"] {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const table = float16Table();
  return (id, into) => {
    for (let i = 0, at = id * width; i < width; i++, at++) into[i] = table[halves[at]!]!;
  };
}
