// A source: a folder of pictures with a captions file (CSV, JSON lines or JSON).
import { dirname } from "node:path";
import { InputError } from "../../errors.ts";
import { Gathered } from "./gathered.ts";
import { findImagesRoot, settleMissing } from "./images.ts";
import { captionRows } from "./rows.ts";
import { sourceOf, type Source, type SourceOptions } from "./source.ts";

/** File names that hold captions, in order of preference; `metadata.*` as in Hugging Face's image folders. */
export const CAPTION_FILES = ["captions", "metadata"].flatMap((name) =>
  ["jsonl", "csv", "tsv", "json"].map((ending) => `${name}.${ending}`),
);

/**
 * Opens a captions file: rows of `file_name` (or `image`, `filename`), `caption` (or `text`, `captions`) and, if known,
 * `objects` with boxes in fractions. Rows of one picture are joined.
 *
 * @throws InputError `CAPTIONS_EMPTY`, `CAPTIONS_UNKNOWN_PICTURES`, `IMAGES_FOLDER`, and what `captionRows` throws
 */
export async function openFolder(captionsPath: string, options: SourceOptions): Promise<Source> {
  const gathered = new Gathered();
  for await (const { image, ...said } of captionRows(captionsPath)) gathered.add(image, said);
  if (gathered.size === 0) {
    throw new InputError("CAPTIONS_EMPTY", {
      expected: "at least one captioned picture",
      got: "none",
      where: captionsPath,
    });
  }
  const root = await findImagesRoot(dirname(captionsPath), gathered, options);
  const notes = await settleMissing(gathered, root, captionsPath, "CAPTIONS_UNKNOWN_PICTURES", options);
  return sourceOf("folder", root, gathered, notes);
}
