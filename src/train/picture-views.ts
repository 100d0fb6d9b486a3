// Pictures that are seen in several views: how many each has, and samples whose pictures become their views.
import type { EncodedSample } from "../data/encode.ts";
import { pictureFile } from "../data/picture-path.ts";
import { streamSamples } from "../data/samples.ts";
import { InputError } from "../errors.ts";
import { probePicture } from "../image/node.ts";
import type { Preprocessor } from "../image/preprocessor.ts";
import { viewCount } from "../image/tiles.ts";
import { type LlavaConfig, tokensPerPicture } from "../models/config.ts";
import type { PictureSource } from "./features.ts";

export interface SeenBy {
  readonly config: LlavaConfig;
  readonly preprocessor: Preprocessor;
}

/** Headers read at a time. */
const together = 64;

/**
 * How many tokens each picture of a file of samples takes. Sizes are read from the pictures' headers; what is wrong with
 * samples and pictures is left to their check.
 */
export async function pictureTokens(
  path: string,
  root: string,
  { config, preprocessor }: SeenBy,
): Promise<number | ((image: string) => number)> {
  const one = tokensPerPicture(config);
  const most = config.tiles;
  if (most === undefined) return one;
  const views = new Map<string, number>();
  const images = [...(await imagesOf(path))];
  for (let start = 0; start < images.length; start += together) {
    const group = images.slice(start, start + together).map(async (image) => {
      const size = await probePicture(pictureFile(root, image)).catch(ignoreInput);
      views.set(image, size ? viewCount(size, preprocessor, most) : 1);
    });
    await Promise.all(group);
  }
  return (image) => one * (views.get(image) ?? 1);
}

async function imagesOf(path: string): Promise<Set<string>> {
  const images = new Set<string>();
  try {
    for await (const sample of streamSamples(path)) for (const image of sample.images) images.add(image);
  } catch (error) {
    ignoreInput(error);
  }
  return images;
}

function ignoreInput(error: unknown): undefined {
  if (!(error instanceof InputError)) throw error;
}

/** A picture's views, or itself where models see it whole. Throws what reading its header throws. */
export async function viewsOf(picture: PictureSource, { config, preprocessor }: SeenBy): Promise<PictureSource[]> {
  const most = config.tiles;
  if (most === undefined) return [picture];
  const count = viewCount(await probePicture(pictureFile(picture.root, picture.image)), preprocessor, most);
  return Array.from({ length: count }, (_, index) => ({ ...picture, view: { index, most } }));
}

/** A sample's pictures with their places cut into views of `tokens` places each. */
export function splitViews(
  { images, imageRuns }: EncodedSample,
  { config }: Pick<SeenBy, "config">,
): { readonly pictures: Omit<PictureSource, "root">[]; readonly imageRuns: EncodedSample["imageRuns"] } {
  const most = config.tiles;
  if (most === undefined) return { pictures: images.map((image) => ({ image })), imageRuns };
  const tokens = tokensPerPicture(config);
  const pictures: Omit<PictureSource, "root">[] = [];
  const runs = imageRuns.flatMap(({ start, length, image }) =>
    Array.from({ length: length / tokens }, (_, index) => {
      pictures.push({ image: images[image]!, view: { index, most } });
      return { start: start + index * tokens, length: tokens, image: pictures.length - 1 };
    }),
  );
  return { pictures, imageRuns: runs };
}
