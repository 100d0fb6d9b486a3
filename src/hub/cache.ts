// The cache of downloaded models, laid out as Hugging Face's own tools lay it out, so that they share it:
// models--OWNER--NAME/{refs/REVISION, blobs/HASH, snapshots/COMMIT/FILE → blobs}.
import { copyFile, lstat, mkdir, readFile, rm, stat, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { getHFHubCachePath, getRepoFolderName } from "@huggingface/hub";
import { writeFileAtomic } from "../formats/node.ts";

export interface RepoCache {
  readonly folder: string;
  /** where the bytes of a hash lie, or will */
  readonly blob: (hash: string) => string;
  readonly snapshot: (commit: string) => string;
  /** the commit that a revision stood for when it was pulled last */
  commitOf(revision: string): Promise<string | undefined>;
  setCommit(revision: string, commit: string): Promise<void>;
  /** makes a file of a snapshot stand for a blob */
  link(commit: string, path: string, hash: string): Promise<void>;
}

/** The cache of one model below `root` (HF_HUB_CACHE, HF_HOME or ~/.cache/huggingface/hub unless told). */
export function repoCache(id: string, root: string = getHFHubCachePath()): RepoCache {
  const folder = join(root, getRepoFolderName({ name: id, type: "model" }));
  const blob = (hash: string): string => join(folder, "blobs", hash);
  const snapshot = (commit: string): string => join(folder, "snapshots", commit);
  const reference = (revision: string): string => join(folder, "refs", revision);
  return {
    folder,
    blob,
    snapshot,
    commitOf: async (revision) => {
      const text = await readFile(reference(revision), "utf8").catch(() => "");
      const commit = /^[0-9a-f]{40}$/.test(revision) ? revision : text.trim();
      const present = /^[0-9a-f]{40}$/.test(commit) && (await exists(snapshot(commit)));
      return present ? commit : undefined;
    },
    setCommit: async (revision, commit) => {
      await mkdir(dirname(reference(revision)), { recursive: true });
      await writeFileAtomic(reference(revision), commit);
    },
    link: async (commit, path, hash) => {
      const file = join(snapshot(commit), path);
      await mkdir(dirname(file), { recursive: true });
      if (await exists(file)) return;
      // what stands there points nowhere
      if ((await lstat(file).catch(() => undefined)) !== undefined) await rm(file);
      await symlink(relative(dirname(file), blob(hash)), file).catch(async (error: NodeJS.ErrnoException) => {
        // some systems let only administrators make links
        if (error.code !== "EPERM") throw error;
        await copyFile(blob(hash), file);
      });
    },
  };
}

export const exists = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined)) !== undefined;
