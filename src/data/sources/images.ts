// Finds the images folder of a source and which pictures it lacks.
import { opendir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { InputError } from "../../errors.ts";
import { pictureFile } from "../picture-path.ts";
import { listed } from "../untrusted.ts";
import type { Gathered } from "./gathered.ts";
import type { SourceOptions } from "./source.ts";

/** How folders of pictures are usually called, beside the file that describes them. */
const USUAL = [
  "photos",
  "images",
  "pictures",
  "img",
  "train2017",
  "val2017",
  "train2014",
  "val2014",
  "train",
  "val",
  "flickr30k-images",
  "flickr30k_images",
];
/** This many names decide which folder is meant. */
const TRIED = 20;
/** One more than an error lists. */
const NAMED = 6;

/**
 * The images folder: the one named in the options, else the first near `base` that holds most of the pictures.
 *
 * @throws InputError `IMAGES_FOLDER` when none holds any
 */
export async function findImagesRoot(base: string, gathered: Gathered, options: SourceOptions): Promise<string> {
  const folders = options.images === undefined ? candidates(base) : [options.images];
  const tried = gathered.some(TRIED);
  let best = { folder: "", found: 0 };
  for (const folder of folders) {
    const found = (await Promise.all(tried.map((image) => isFile(pictureFile(folder, image))))).filter(Boolean).length;
    if (found > best.found) best = { folder, found };
  }
  if (best.found > 0) return best.folder;
  throw new InputError("IMAGES_FOLDER", {
    expected: `the pictures ${listed(tried)} in ${options.images ?? `${base} or a folder in it such as photos/ or images/`}`,
    got: "none of them",
    where: base,
    fix: "name the folder that holds them with --images",
  });
}

function candidates(base: string): string[] {
  // COCO unpacks to annotations/ beside train2017/
  const parents = basename(base) === "annotations" ? [base, dirname(base), join(dirname(base), "images")] : [base];
  return parents.flatMap((parent) => [
    parent,
    ...USUAL.map((name) => join(parent, name)),
    ...USUAL.map((name) => join(parent, "images", name)),
  ]);
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (status) => status.isFile(),
    () => false,
  );
}

/**
 * Refuses pictures without a file, or takes them out, as the options say; returns a note where some were taken out.
 *
 * @param code of the error
 * @throws InputError `code` with how many there are and the first few
 */
export async function settleMissing(
  gathered: Gathered,
  root: string,
  where: string,
  code: "CAPTIONS_UNKNOWN_PICTURES" | "PICTURES_MISSING",
  options: SourceOptions,
): Promise<string[]> {
  await lookFor(gathered, root);
  let count = 0;
  const first: string[] = [];
  for (const image of gathered.missing()) if (count++ < NAMED) first.push(image);
  if (count === 0) return [];
  const all = gathered.size;
  const found = `${count} of ${all} pictures have no file in ${root}: ${listed(first, NAMED - 1, count)}`;
  if (options.missing === "skip") {
    gathered.keepPresent();
    return [`left out: ${found}`];
  }
  const fix = "correct the names or add the files, or leave such pictures out with --skip-missing";
  throw new InputError(code, { expected: "a file for every picture that is described", got: found, where, fix });
}

/** Tells which of the pictures are there; one listing per folder is much cheaper than one look per file. */
async function lookFor(gathered: Gathered, root: string): Promise<void> {
  const folders = new Set<string>();
  for (const image of gathered.images()) folders.add(image.slice(0, image.lastIndexOf("/") + 1));
  for (const folder of folders) {
    const entries = await opendir(pictureFile(root, folder === "" ? "." : folder), { bufferSize: 1024 }).catch(
      () => undefined,
    );
    if (entries !== undefined) for await (const { name } of entries) gathered.seen(folder + name);
  }
}
