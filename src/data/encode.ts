// One sample as token ids: what the model reads, what it learns, where pictures go.

/** Places of one picture's features in a sample; each holds the image token. */
export interface ImageRun {
  readonly start: number;
  readonly length: number;
  /** the picture, relative to the images folder */
  readonly image: string;
}

export interface EncodedSample {
  readonly id: string;
  readonly ids: Int32Array;
  /** the id itself where it is learned, -100 elsewhere; not shifted */
  readonly labels: Int32Array;
  readonly imageRuns: readonly ImageRun[];
}
