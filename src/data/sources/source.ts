// What a teacher reads from: captioned pictures, wherever they come from.
import type { CaptionedPicture } from "../sample.ts";
import type { Gathered } from "./gathered.ts";

/** The kinds of sources, by what describes their pictures. */
export type SourceKind =
  | "folder"
  | "coco"
  | "llava"
  | "sidecar"
  | "webdataset"
  | "parquet"
  | "visual-genome"
  | "flickr30k";

/** Opened and checked: every picture it gives has a file. Adding a kind is one file with a function that returns this. */
export interface Source {
  readonly kind: SourceKind;
  /** the folder that pictures' paths are relative to */
  readonly imagesRoot: string;
  /** how many pictures it gives */
  readonly count: number;
  /** what was left out and why, as sentences for a person */
  readonly notes: readonly string[];
  /** in the order of the source; may be called again, and gives the same */
  pictures(): AsyncIterable<CaptionedPicture>;
  /** where pictures lie in shards: writes them into `imagesRoot`, but those that are there; returns how many it wrote */
  readonly unpack?: (options?: UnpackOptions) => Promise<number>;
}

export interface UnpackOptions {
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal;
}

export interface SourceOptions {
  /** the images folder; found beside the captions unless told. Where shards hold the pictures: where these are put */
  readonly images?: string;
  /** what to do about pictures whose file is missing; refuse unless told */
  readonly missing?: "refuse" | "skip";
}

/** A source over what was gathered. */
export function sourceOf(
  kind: SourceKind,
  imagesRoot: string,
  gathered: Gathered,
  notes: readonly string[],
  unpack?: Source["unpack"],
): Source {
  return {
    kind,
    imagesRoot,
    count: gathered.size,
    notes,
    // oxlint-disable-next-line require-await -- the interface lets sources read as they go
    async *pictures() {
      yield* gathered.pictures();
    },
    ...(unpack === undefined ? {} : { unpack }),
  };
}
