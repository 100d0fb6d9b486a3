// A golden file's tokens as rows for the training path: each row one document, its picture tokens cut into pictures.
import type { Row, RowImage } from "../data/pack.ts";
import { InputError } from "../errors.ts";
import { type LlavaConfig, tokensPerPicture } from "../models/config.ts";

export interface GoldenTokens {
  /** [B, T] */
  readonly ids: Int32Array;
  /** [B, T], not shifted */
  readonly labels: Int32Array;
  readonly length: number;
  readonly pictures: number;
  readonly where: string;
}

/** Pictures are named "0", "1", … in the order of their tokens. Throws `GOLDEN_VALUE` where tokens and pictures don't add up. */
export function goldenRows({ ids, labels, length, pictures, where }: GoldenTokens, config: LlavaConfig): Row[] {
  const perPicture = tokensPerPicture(config);
  let next = 0;
  const rows = Array.from({ length: ids.length / length }, (_, row) => {
    const own = ids.slice(row * length, (row + 1) * length);
    const images: RowImage[] = picturesOf(own, config.imageTokenId, perPicture).map((start) => ({
      start,
      length: perPicture,
      document: 0,
      image: String(next++),
    }));
    return rowOf(own, labels.slice(row * length, (row + 1) * length), images);
  });
  const tokens = ids.reduce((n, id) => n + (id === config.imageTokenId ? 1 : 0), 0);
  if (next !== pictures || tokens !== pictures * perPicture) {
    const expected = `${perPicture} tokens ${config.imageTokenId} one after the other for each of ${pictures} pictures`;
    throw new InputError("GOLDEN_VALUE", {
      expected,
      got: `${tokens} tokens in ${next} runs`,
      where: `${where}, input_ids`,
    });
  }
  return rows;
}

/** Where whole runs of picture tokens begin. */
function picturesOf(ids: Int32Array, imageToken: number, perPicture: number): number[] {
  const starts: number[] = [];
  for (let t = 0; t < ids.length; t++) {
    const run = ids.subarray(t, t + perPicture);
    if (run.length < perPicture || run.some((id) => id !== imageToken)) continue;
    starts.push(t);
    t += perPicture - 1;
  }
  return starts;
}

/** A row that is one document from end to end. */
export function rowOf(ids: Int32Array, labels: Int32Array, images: readonly RowImage[]): Row {
  const [documents, branches] = [new Int32Array(ids.length), new Int32Array(ids.length)];
  return { ids, labels, images, documents, branches, positions: Int32Array.from(ids, (_, t) => t) };
}
