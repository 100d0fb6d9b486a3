// Opens every picture before training does: it must exist and decode to the end.
import { stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { InputError } from "../errors.ts";
import { verifyPicture } from "../image/node.ts";
import { KnownPictures } from "./known-pictures.ts";
import { pictureFile } from "./picture-path.ts";
import type { Problems } from "./problems.ts";

/**
 * Decodes pictures, several at a time; what is wrong goes to `problems`, with the sample that names the picture.
 *
 * @param pictures from each picture's path in the images folder to where it is named first
 * @param cache the folder that remembers which files were whole; without it all are decoded
 * @throws InputError `IMAGES_FOLDER` when there is no such folder
 */
export async function checkPictures(
  imagesRoot: string,
  pictures: ReadonlyMap<string, string>,
  problems: Problems,
  onProgress?: (done: number) => void,
  cache?: string,
): Promise<void> {
  if (pictures.size === 0) return;
  const folder = await stat(imagesRoot).catch(() => undefined);
  if (folder?.isDirectory() !== true) {
    const fix = "name the folder that holds the pictures";
    throw new InputError("IMAGES_FOLDER", { expected: "an images folder", got: "none there", where: imagesRoot, fix });
  }
  const known = cache === undefined ? undefined : await KnownPictures.open(cache);
  const entries = [...pictures];
  // by place, so that the order of problems does not depend on which picture was read first
  const errors: unknown[] = [];
  let next = 0;
  let done = 0;
  const worker = async (): Promise<void> => {
    while (next < entries.length) {
      const place = next++;
      const [image, where] = entries[place] as [string, string];
      await verifyOnce(pictureFile(imagesRoot, image), known).catch((error: unknown) => {
        errors[place] = error instanceof InputError ? named(error, where) : error;
      });
      onProgress?.(++done);
    }
  };
  await Promise.all(Array.from({ length: 2 * availableParallelism() }, worker));
  await known?.save();
  for (const error of errors) if (error !== undefined) problems.add(error);
}

/** Decodes a file that is not known to be whole. Its mark is taken first: what changes meanwhile is looked at again. */
async function verifyOnce(path: string, known: KnownPictures | undefined): Promise<void> {
  const mark = await known?.markOf(path);
  if (mark !== undefined && known?.has(mark)) return;
  await verifyPicture(path);
  if (mark !== undefined) known?.add(mark);
}

function named(error: InputError, where: string): InputError {
  return new InputError(error.code, { ...error.details, where: `${error.details.where ?? ""}, named in ${where}` });
}
