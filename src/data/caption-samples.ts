// Captioned pictures as samples, word for word: a picture and what was said of it, its boxes beside.
import { random } from "./random.ts";
import type { CaptionedPicture, Sample } from "./sample.ts";

export interface CaptionSampleOptions {
  /** every caption in a sample of its own, or one of each picture, drawn by the seed */
  readonly captions: "one" | "all";
  readonly seed?: number;
}

/** Keys of a sample that say what is known of its picture; the first sample of each picture has them. */
export const knownKeys = ["objects", "regions", "partial"] as const;

/** In the order of the source; the picture alone stands for the question, as in LLaVA's first stage (arXiv 2304.08485 §4.2). */
export async function* captionSamples(
  pictures: AsyncIterable<CaptionedPicture>,
  { captions: which, seed = 0 }: CaptionSampleOptions,
): AsyncGenerator<Sample> {
  for await (const picture of pictures) {
    const { id, image, captions } = picture;
    const chosen = which === "all" ? captions : random(seed, "captions", id).sample(captions, 1);
    for (const [i, caption] of chosen.entries()) {
      const name = `${id}-caption-${i + 1}`;
      const known = i === 0 ? knownOf(picture) : {};
      yield {
        id: name,
        images: [image],
        conversations: [
          { from: "human", value: "<image>" },
          { from: "gpt", value: caption },
        ],
        extra: { teacher: "captions", ...known },
        where: name,
      };
    }
  }
}

function knownOf(picture: CaptionedPicture): Record<string, unknown> {
  return Object.fromEntries(knownKeys.flatMap((key) => (picture[key] === undefined ? [] : [[key, picture[key]]])));
}
