// Opens the tensors of a model folder: safetensors or PyTorch's .bin, whole or in shards with an index, or one GGUF file.
import { readdir, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { z } from "zod";
import { InputError } from "../errors.ts";
import { readGguf } from "../formats/gguf.ts";
import { blocksOfGguf } from "../formats/q4.ts";
import { openFile, readJsonFile } from "../formats/node.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { readTorch } from "../formats/torch.ts";
import type { TensorReader } from "./weights.ts";

/** A JSON object of unknown content. */
export type Json = Readonly<Record<string, unknown>>;

/** The tensors of a folder or of the file itself. Throws `WEIGHTS_MISSING`, `WEIGHTS_INDEX`, and what the formats throw. */
export async function openTensors(path: string): Promise<TensorReader> {
  if (path.endsWith(".gguf")) return openGguf(path);
  if (path.endsWith(".safetensors") || path.endsWith(".bin")) return openShards([path], path);
  for (const name of ["model.safetensors", "pytorch_model.bin"]) {
    const [index, file] = [join(path, `${name}.index.json`), join(path, name)];
    if (await exists(index)) return openShards(await shardsOf(index, path, extname(name)), path);
    if (await exists(file)) return openShards([file], path);
  }
  const ggufs = (await readdir(path)).filter((name) => name.endsWith(".gguf"));
  if (ggufs.length === 1) return openGguf(join(path, ggufs[0]!));
  throw new InputError("WEIGHTS_MISSING", {
    expected: "model.safetensors, pytorch_model.bin, an index of either or one .gguf file",
    got: ggufs.length > 1 ? `${ggufs.length} .gguf files` : "none of them",
    where: path,
    fix: ggufs.length > 1 ? "name the .gguf file itself" : "check that the weights were downloaded",
  });
}

const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

/** The files that an index names; they lie beside it. */
async function shardsOf(index: string, folder: string, extension: string): Promise<string[]> {
  const parsed = indexSchema.safeParse(await readJsonFile(index));
  const fail = (expected: string, got: string): never => {
    throw new InputError("WEIGHTS_INDEX", { expected, got, where: index });
  };
  if (!parsed.success) return fail("a weight_map of tensor names to file names", parsed.error.issues[0]!.message);
  const names = [...new Set(Object.values(parsed.data.weight_map))];
  const escaping = names.find((name) => basename(name) !== name || !name.endsWith(extension));
  if (escaping !== undefined) fail(`names of ${extension} files beside the index`, JSON.stringify(escaping));
  return names.length > 0 ? names.map((name) => join(folder, name)) : fail("at least one file", "none");
}

/** What safetensors and PyTorch's files have in common here. */
interface TensorFile {
  readonly name: string;
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  loadFloat32(name: string): Promise<Float32Array>;
}

async function openShards(paths: readonly string[], where: string): Promise<TensorReader> {
  const sources: Awaited<ReturnType<typeof openFile>>[] = [];
  const close = async (): Promise<void> => void (await Promise.all(sources.map((source) => source.close())));
  try {
    const owner = new Map<string, TensorFile>();
    for (const path of paths) {
      const source = await openFile(path);
      sources.push(source);
      const file = path.endsWith(".bin") ? await readTorch(source) : await readSafetensors(source);
      for (const name of file.tensors.keys()) {
        const other = owner.get(name);
        if (other !== undefined) {
          const got = `${name} in ${basename(other.name)} and ${basename(path)}`;
          throw new InputError("WEIGHTS_INDEX", { expected: "each tensor in one file", got, where });
        }
        owner.set(name, file);
      }
    }
    return {
      where,
      shapes: new Map([...owner].map(([name, file]) => [name, file.tensors.get(name)!.shape])),
      load: (name) => owner.get(name)!.loadFloat32(name),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openGguf(path: string): Promise<TensorReader> {
  const source = await openFile(path);
  try {
    const file = await readGguf(source);
    return {
      where: path,
      shapes: new Map([...file.tensors].map(([name, info]) => [name, info.shape])),
      load: (name) => file.loadFloat32(name),
      blocks: async (name) => {
        const { type, bytes } = await file.load(name);
        return blocksOfGguf(type, bytes);
      },
      close: source.close,
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** The same tensors under other names. */
export function renamed(reader: TensorReader, rename: (name: string) => string): TensorReader {
  const originals = new Map([...reader.shapes.keys()].map((name) => [rename(name), name]));
  return {
    ...reader,
    shapes: new Map([...originals].map(([name, original]) => [name, reader.shapes.get(original)!])),
    load: (name) => reader.load(originals.get(name)!),
    ...(reader.blocks && { blocks: (name: string) => reader.blocks!(originals.get(name)!) }),
  };
}

/** A file that holds a JSON object. Throws `MODEL_CONFIG` where it holds something else. */
export async function readObject(path: string): Promise<Json> {
  const json = await readJsonFile(path);
  if (json !== null && typeof json === "object" && !Array.isArray(json)) return json as Json;
  throw new InputError("MODEL_CONFIG", {
    expected: "an object",
    got: JSON.stringify(json).slice(0, 40),
    where: path,
  });
}

/** The same for a file that may be absent. */
export async function optionalObject(path: string): Promise<Json | undefined> {
  return (await exists(path)) ? readObject(path) : undefined;
}

export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
