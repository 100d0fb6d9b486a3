// Captioned pictures that can be read more than once, whatever they come from.
import type { CaptionedPicture } from "../data/sample.ts";
import type { Source } from "../data/sources/source.ts";

export type Pictures = Iterable<CaptionedPicture> | AsyncIterable<CaptionedPicture>;

/** What a teacher reads: an opened source, a list, or a stream, which is held in memory. */
export type PictureSource = (Pick<Source, "pictures"> & Partial<Pick<Source, "count">>) | Pictures;

/** A function that reads the source from the start each time it is called. */
export async function rereadable(source: PictureSource): Promise<() => Pictures> {
  if ("pictures" in source) return () => source.pictures();
  // an iterator returns itself: reading it once would leave nothing for the next pass
  const iterator: unknown = Symbol.iterator in source ? source[Symbol.iterator]() : source[Symbol.asyncIterator]();
  if (iterator !== source) return () => source;
  const held: CaptionedPicture[] = [];
  for await (const picture of source) held.push(picture);
  return () => held;
}
