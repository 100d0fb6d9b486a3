// A llava directory in any element type, in shards: what the hf door and imports have in common.
import type { WrittenDType } from "../models/config-write.ts";
import { checkpointEntries, type ModelToSave, writeModelFiles } from "../models/save-node.ts";
import { type ShardOptions, writeShards } from "./shards.ts";

/** Writes all files of a llava checkpoint into an empty folder, one tensor in memory at a time. */
export async function writeLlava(
  folder: string,
  model: ModelToSave,
  { dtype, ...options }: ShardOptions & { readonly dtype: WrittenDType },
): Promise<void> {
  const entries = checkpointEntries(model).map((entry) => ({ ...entry, dtype }));
  await writeShards(folder, entries, options);
  await writeModelFiles(folder, model, { dtype });
}
