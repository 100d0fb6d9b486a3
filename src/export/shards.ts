// Safetensors in files of limited size, with the index that Hugging Face's loaders follow.
import { join } from "node:path";
import { writeFileAtomic } from "../formats/node.ts";
import { encodeSafetensors, type SafetensorsEntry } from "../formats/safetensors-write.ts";
import { safetensorsBytes } from "../formats/safetensors.ts";
import { sizeOf } from "../graph/tensor.ts";

export interface ShardOptions {
  /** of a file's tensors, in bytes; one tensor may be larger and is then alone */
  readonly shardBytes: number;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Writes `model.safetensors`, or shards with `model.safetensors.index.json`; holds one tensor at a time. */
export async function writeShards(
  folder: string,
  entries: readonly SafetensorsEntry[],
  { shardBytes, onProgress }: ShardOptions,
): Promise<void> {
  let done = 0;
  const counted = entries.map((entry) => ({
    ...entry,
    data: () => {
      onProgress?.(++done, entries.length);
      return typeof entry.data === "function" ? entry.data() : entry.data;
    },
  }));
  const shards = splitBySize(counted, shardBytes);
  const weightMap: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const name = shards.length === 1 ? "model.safetensors" : shardName(i + 1, shards.length);
    await writeFileAtomic(join(folder, name), encodeSafetensors(shard, { format: "pt" }));
    for (const entry of shard) weightMap[entry.name] = name;
  }
  if (shards.length === 1) return;
  const index = { metadata: { total_size: total(entries) }, weight_map: weightMap };
  await writeFileAtomic(join(folder, "model.safetensors.index.json"), `${JSON.stringify(index, null, 2)}\n`);
}

const bytesOf = ({ dtype, shape }: SafetensorsEntry): number => sizeOf(shape) * safetensorsBytes[dtype];
const total = (entries: readonly SafetensorsEntry[]): number => entries.reduce((sum, entry) => sum + bytesOf(entry), 0);
const shardName = (i: number, count: number): string =>
  `model-${String(i).padStart(5, "0")}-of-${String(count).padStart(5, "0")}.safetensors`;

function splitBySize<E extends SafetensorsEntry>(entries: readonly E[], most: number): E[][] {
  const shards: E[][] = [[]];
  for (const entry of entries) {
    const last = shards.at(-1)!;
    if (last.length > 0 && total(last) + bytesOf(entry) > most) shards.push([entry]);
    else last.push(entry);
  }
  return shards;
}
