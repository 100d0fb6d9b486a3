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

/** Files open at a time. */
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
  await inGroups([...(await imagesOf(path))], async (image) => {
    const size = await probePicture(pictureFile(root, image)).catch(ignoreInput);
    views.set(image, size ? viewCount(size, preprocessor, most) : 1);
  });
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

/** The views of pictures, or themselves where models see them whole. Throws what reading their headers throws. */
export async function viewsOf(
  pictures: readonly PictureSource[],
  { config, preprocessor }: SeenBy,
): Promise<readonly PictureSource[]> {
  const most = config.tiles;
  if (most === undefined) return pictures;
  const views = await inGroups(pictures, async (picture) => {
    const count = viewCount(await probePicture(pictureFile(picture.root, picture.image)), preprocessor, most);
    return Array.from({ length: count }, (_, index) => ({ ...picture, view: { index, most } }));
  });
  return views.flat();
}

async function inGroups<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += together) {
    results.push(...(await Promise.all(items.slice(start, start + together).map(work))));
  }
  return results;
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
