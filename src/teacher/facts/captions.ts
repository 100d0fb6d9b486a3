// Alignment data: one sample for a picture's caption, for the stage that trains the projector alone.
import { random } from "../../data/random.ts";
import type { Sample } from "../../data/sample.ts";
import { rereadable, type PictureSource } from "../source.ts";
import { cleanCaption } from "./caption.ts";
import { captionRequests } from "./kinds/caption.ts";

export interface CaptionsOptions {
  /** one caption of each picture, drawn by the seed, or every caption in a sample of its own; "one" unless told */
  readonly captions?: "one" | "all";
  /** "plain": the picture alone stands for the question, as LLaVA's first stage; "request": varied wordings. "request" unless told */
  readonly wording?: "request" | "plain";
  readonly seed?: number;
}

/**
 * Caption samples, in the order of the source; a picture without a usable caption gives none. Reads the source once.
 * The layout of "plain" is that of LLaVA's first stage (Liu et al. 2023, arXiv 2304.08485, §4.2).
 */
export async function* teachCaptions(source: PictureSource, options: CaptionsOptions = {}): AsyncGenerator<Sample> {
  const { captions: which = "one", wording = "request", seed = 0 } = options;
  const read = await rereadable(source);
  for await (const picture of read()) {
    const stream = random(seed, "captions", picture.id);
    const usable = picture.captions.map(cleanCaption).filter((caption) => caption !== undefined);
    const chosen = which === "all" ? usable : stream.sample(usable, 1);
    for (const [i, { text }] of chosen.entries()) {
      const id = `${picture.id}-caption-${i + 1}`;
      const value = wording === "plain" ? "<image>" : `<image>\n${stream.pick(captionRequests)}`;
      yield {
        id,
        images: [picture.image],
        conversations: [
          { from: "human", value },
          { from: "gpt", value: text },
        ],
        extra: { teacher: "captions" },
        where: id,
      };
    }
  }
}
