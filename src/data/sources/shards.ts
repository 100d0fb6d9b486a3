// Pictures that lie inside of shards: where they are put as files, and how they get there.
import { mkdir, rename, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { flushFolder, writeFailure } from "../../formats/node.ts";
import { pictureFile } from "../picture-path.ts";
import type { Source, SourceOptions } from "./source.ts";

/** One picture of a shard. */
export interface PackedPicture {
  readonly image: string;
  /** its bytes; read only where they are needed */
  bytes(): Promise<Uint8Array>;
  readonly size: number;
}

/** Where a source's pictures go: as told, or into a folder of its name beside it. */
export function picturesFolder(path: string, { images }: SourceOptions): string {
  const name = basename(resolve(path)).replace(/(\.tar(\.gz)?|\.tgz|\.parquet)$/i, "");
  return images ?? join(dirname(resolve(path)), `${name}-pictures`);
}

/** Writes pictures as files, but those that are there in the same size: what a kill left undone is done by the next call. */
export function unpacker(root: string, pictures: () => AsyncIterable<PackedPicture>): NonNullable<Source["unpack"]> {
  return async ({ onProgress, signal } = {}) => {
    const made = new Set<string>();
    let [done, written] = [0, 0];
    for await (const { image, bytes, size } of pictures()) {
      signal?.throwIfAborted();
      const path = pictureFile(root, image);
      if ((await stat(path).catch(() => undefined))?.size !== size) {
        await put(path, await bytes(), made);
        written++;
      }
      onProgress?.(++done);
    }
    for (const folder of made) await flushFolder(folder);
    return written;
  };
}

async function put(path: string, bytes: Uint8Array, made: Set<string>): Promise<void> {
  const folder = dirname(path);
  const unfinished = `${path}.${process.pid}.tmp`;
  try {
    if (!made.has(folder)) await mkdir(folder, { recursive: true });
    made.add(folder);
    // flushing each of a million pictures would take an hour; the next run looks at their sizes
    await writeFile(unfinished, bytes);
    await rename(unfinished, path);
  } catch (error) {
    throw writeFailure(path, error);
  }
}
