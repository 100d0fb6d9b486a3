// Adapters on disk: read from PEFT's folder or from inside a model's, and put onto a model's weights.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { writeFileAtomic } from "../formats/node.ts";
import { encodeSafetensors } from "../formats/safetensors-write.ts";
import {
  adapterConfigFile,
  adapterConfigJson,
  adapterEntries,
  adapterWeightsFile,
  parseAdapterConfig,
  readAdapterTensors,
} from "./adapter-files.ts";
import { type AdaptedPart, type Adapter, mergedWeights } from "./lora.ts";
import { exists, openTensors, readObject } from "./tensors-node.ts";
import type { PartWeights } from "./weights.ts";

/** Whether a folder holds an adapter, alone or inside a model. */
export const holdsAdapter = (folder: string): Promise<boolean> => exists(join(folder, adapterConfigFile));

/** Where the model of an adapter's folder lies: as its config says, from here or from the folder. Throws `ADAPTER_BASE`. */
export async function adapterBase(folder: string): Promise<string> {
  const where = join(folder, adapterConfigFile);
  const { base } = parseAdapterConfig(await readObject(where), where);
  for (const path of base === undefined ? [] : [base, join(folder, base)]) if (await exists(path)) return path;
  throw new InputError("ADAPTER_BASE", {
    expected: "the model that the adapter was trained on",
    got: base === undefined ? "no base_model_name_or_path" : `${base}, which is not here`,
    where,
    fix: "name the model, and this folder with --adapter",
  });
}

/** Reads an adapter that fits the given parts. Throws `ADAPTER_MISSING`, `ADAPTER_CONFIG`, `ADAPTER_MISMATCH`. */
export async function readAdapter(
  folder: string,
  base: Readonly<Partial<Record<AdaptedPart, PartWeights>>>,
): Promise<Adapter> {
  const [config, weights] = [join(folder, adapterConfigFile), join(folder, adapterWeightsFile)];
  for (const file of [config, weights]) {
    if (await exists(file)) continue;
    const fix = "name a folder that holds a PEFT adapter saved as safetensors";
    throw new InputError("ADAPTER_MISSING", { expected: file, got: "no such file", where: folder, fix });
  }
  const scale = parseAdapterConfig(await readObject(config), config);
  const reader = await openTensors(weights);
  try {
    return await readAdapterTensors(reader, scale, base);
  } finally {
    await reader.close();
  }
}

/** Writes an adapter as PEFT's folder; `base` is where the model lies that it belongs to. */
export async function writeAdapter(folder: string, adapter: Adapter, base: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const config = `${JSON.stringify(adapterConfigJson(adapter, base), null, 2)}\n`;
  await writeFileAtomic(join(folder, adapterConfigFile), config);
  await writeFileAtomic(join(folder, adapterWeightsFile), encodeSafetensors(adapterEntries(adapter), { format: "pt" }));
}

/**
 * The parts with an adapter's products in their weights; the adapter lies in `adapterFolder`, or else in the model's.
 * `false`: as they are, whatever lies there.
 */
export async function withAdapter<P extends Readonly<Partial<Record<AdaptedPart, PartWeights>>>>(
  parts: P,
  folder: string,
  adapterFolder: string | false | undefined,
): Promise<P> {
  if (adapterFolder === false) return parts;
  const from = adapterFolder ?? ((await holdsAdapter(folder)) ? folder : undefined);
  if (from === undefined) return parts;
  const adapter = await readAdapter(from, parts);
  const merged = Object.entries(parts).map(([name, weights]) => [
    name,
    mergedWeights(weights as PartWeights, adapter.parts[name as AdaptedPart], adapter.lora),
  ]);
  return Object.fromEntries(merged) as P;
}
