// The sample contract (LLaVA's JSON) and the captioned picture that a teacher reads.

/** One turn; `from` is "human" or "gpt", strictly alternating, human first. */
export interface Turn {
  readonly from: "human" | "gpt";
  readonly value: string;
}

/** One picture-conversation pair; unknown keys of the file are kept in `extra`. */
export interface Sample {
  readonly id: string;
  /** relative to the images folder, always "/"-separated; empty for text-only samples */
  readonly images: readonly string[];
  readonly conversations: readonly Turn[];
  readonly extra: Readonly<Record<string, unknown>>;
  /** where it came from, for errors: "data.json:12" */
  readonly where: string;
}

/** A named box in fractions of the picture: x right, y down, 0–1, x1 < x2, y1 < y2. */
export interface BoxedObject {
  readonly name: string;
  readonly box: readonly [x1: number, y1: number, x2: number, y2: number];
}

/** What is known of a picture without looking at it: what every teacher reads. */
export interface CaptionedPicture {
  readonly id: string;
  /** relative to the images folder, "/"-separated */
  readonly image: string;
  readonly captions: readonly string[];
  /** undefined when the source has no boxes at all (then absence can't be concluded) */
  readonly objects?: readonly BoxedObject[];
  /** phrases about parts of the picture, each with the part's box; undefined when the source has none */
  readonly regions?: readonly BoxedObject[];
  /** boxes were drawn around what was spoken of: something without a box may be there all the same, or more often */
  readonly partial?: boolean;
}
