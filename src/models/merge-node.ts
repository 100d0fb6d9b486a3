// A model with its adapter merged into the weights, for tools that read no adapters.
import { copyFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { writeFileAtomic } from "../formats/node.ts";
import { encodeSafetensors, type SafetensorsEntry } from "../formats/safetensors-write.ts";
import { holdsAdapter } from "./adapter-node.ts";
import { type LanguageFiles, type LlavaFiles, openModel, type OpenModelOptions } from "./node.ts";
import { checkpointEntries, writeFolder } from "./save-node.ts";

export interface MergeOptions extends OpenModelOptions {
  readonly adapter?: string | undefined;
  /** a folder that does not exist yet */
  readonly out: string;
  /** told how many tensors are written */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Writes `model.safetensors` (float32) with W + alpha/rank · B·A, and a copy of every other file of the model.
 * Throws as `openModel`, `MODEL_KIND` for a vision tower, `ADAPTER_MISSING` where no adapter is named or found.
 */
export async function mergeModel(path: string, { adapter, out, onProgress }: MergeOptions): Promise<void> {
  if (adapter === undefined && !(await holdsAdapter(path))) {
    const fix = "name the adapter with --adapter";
    throw new InputError("ADAPTER_MISSING", { expected: "an adapter in the model", got: "none", where: path, fix });
  }
  const files = await openModel(path, { adapter });
  try {
    if (files.kind === "vision") {
      throw new InputError("MODEL_KIND", { expected: "a model with an adapter", got: "a vision tower", where: path });
    }
    const entries = entriesOf(files);
    let done = 0;
    const counted = entries.map((entry) => ({
      ...entry,
      data: () => {
        onProgress?.(++done, entries.length);
        return entry.data();
      },
    }));
    await writeFolder(out, async (unfinished) => {
      for (const entry of await readdir(files.where, { withFileTypes: true })) {
        if (!entry.isFile() || isWeights(entry.name)) continue;
        await copyFile(join(files.where, entry.name), join(unfinished, entry.name));
      }
      await writeFileAtomic(join(unfinished, "model.safetensors"), encodeSafetensors(counted, { format: "pt" }));
    });
  } finally {
    await files.close();
  }
}

type LazyEntry = SafetensorsEntry & { readonly data: () => Promise<Float32Array> };

function entriesOf(files: LlavaFiles | LanguageFiles): LazyEntry[] {
  if (files.kind === "llava") return checkpointEntries(files) as LazyEntry[];
  const { shapes, load } = files.weights;
  return [...shapes].map(([name, shape]) => ({ name, dtype: "F32", shape, data: () => load(name) }));
}

/** Files that hold weights, or say where they lie. */
const isWeights = (name: string): boolean =>
  /\.(safetensors|bin|gguf|pt|pth|msgpack|h5)$|\.index\.json$|^adapter_config\.json$/.test(name);
