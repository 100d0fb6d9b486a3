// A source: LLaVA's JSON, whose answers are taken for captions.
import { dirname } from "node:path";
import { InputError } from "../../errors.ts";
import { streamSamples } from "../samples.ts";
import { Gathered } from "./gathered.ts";
import { findImagesRoot, settleMissing } from "./images.ts";
import { sourceOf, type Source, type SourceOptions } from "./source.ts";

/**
 * Opens LLaVA's JSON as captioned pictures; samples of one picture are joined. Samples with no or several pictures
 * are left out, since it is unknown which picture an answer describes.
 *
 * @throws InputError `CAPTIONS_EMPTY`, `PICTURES_MISSING`, `IMAGES_FOLDER`, and what `streamSamples` throws
 */
export async function openLlavaJson(path: string, options: SourceOptions): Promise<Source> {
  const gathered = new Gathered();
  let others = 0;
  for await (const { images, conversations } of streamSamples(path)) {
    const [image] = images;
    if (image === undefined || images.length > 1) {
      others++;
      continue;
    }
    const answers = conversations.filter(({ from }) => from === "gpt");
    gathered.add(image, { captions: answers.map(({ value }) => value) });
  }
  if (gathered.size === 0) {
    throw new InputError("CAPTIONS_EMPTY", {
      expected: "at least one sample with one picture",
      got: "none",
      where: path,
    });
  }
  const root = await findImagesRoot(dirname(path), gathered, options);
  const notes = await settleMissing(gathered, root, path, "PICTURES_MISSING", options);
  if (others > 0) notes.push(`left out: ${others} samples with no or several pictures`);
  return sourceOf("llava", root, gathered, notes);
}
