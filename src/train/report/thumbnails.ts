// Small copies of picture files, each made once.
import { readFile } from "node:fs/promises";
import { thumbnail } from "../../image/node.ts";
import type { Thumbnails } from "./read-run.ts";

const LONGEST_SIDE = 320;

/** Pictures that are gone or damaged are left out: a report is worth having without them. */
export function thumbnailShelf(): Thumbnails {
  const shelf = new Map<string, Promise<string | undefined>>();
  return (path) => {
    const small =
      shelf.get(path) ??
      readFile(path)
        .then((bytes) => thumbnail(bytes, LONGEST_SIDE))
        .catch(() => undefined);
    shelf.set(path, small);
    return small;
  };
}
