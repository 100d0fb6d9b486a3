// Small copies of picture files, each made once.
import { readFile } from "node:fs/promises";
import { thumbnail } from "./node.ts";

/** Makes a small `data:` URL of a picture file; undefined where it cannot be read. */
export type Thumbnails = (path: string) => Promise<string | undefined>;

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
