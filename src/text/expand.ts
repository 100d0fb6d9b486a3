// Pictures take their room: one placeholder becomes one id per picture token, and the mask becomes labels.
import { BugError } from "../errors.ts";
import { IMAGE_PLACEHOLDER, type Encoded } from "./encode.ts";

/** A label that is not learned (PyTorch's and Hugging Face's ignore index). */
export const IGNORE_LABEL = -100;

/** Where a picture's features go: `ids[start … start + length)` belong to picture number `image`. */
export interface ImageRun {
  readonly start: number;
  readonly length: number;
  readonly image: number;
}

/** Ids and labels of equal length; `labels[i]` is `ids[i]` or IGNORE_LABEL (not shifted: position i is predicted from i - 1). */
export interface Expanded {
  readonly ids: Int32Array;
  readonly labels: Int32Array;
  readonly imageRuns: readonly ImageRun[];
}

/**
 * Writes each picture as `tokensPerImage[image]` times `placeholderId`, as Hugging Face's processors do.
 * Throws the bug `IMAGE_COUNT` when the counts do not belong to `encoded`.
 */
export function expandImages(encoded: Encoded, tokensPerImage: readonly number[], placeholderId: number): Expanded {
  const bad = tokensPerImage.find((count) => !Number.isInteger(count) || count < 1);
  if (tokensPerImage.length !== encoded.images || bad !== undefined) {
    const got = `[${tokensPerImage.join(", ")}]`;
    throw new BugError("IMAGE_COUNT", { expected: `${encoded.images} counts of at least 1`, got });
  }
  const length = encoded.ids.length - encoded.images + tokensPerImage.reduce((sum, count) => sum + count, 0);
  const ids = new Int32Array(length);
  const labels = new Int32Array(length).fill(IGNORE_LABEL);
  const imageRuns: ImageRun[] = [];
  let at = 0;
  for (const [i, id] of encoded.ids.entries()) {
    const count = id === IMAGE_PLACEHOLDER ? tokensPerImage[imageRuns.length] : undefined;
    if (count !== undefined) {
      ids.fill(placeholderId, at, at + count);
      imageRuns.push({ start: at, length: count, image: imageRuns.length });
      at += count;
    } else {
      ids[at] = id;
      if (encoded.learned[i] === 1) labels[at] = id;
      at++;
    }
  }
  return { ids, labels, imageRuns };
}
