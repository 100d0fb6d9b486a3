// Splits of a data set by picture: a picture's name alone decides where it goes, so that none is in two of them.
import { InputError } from "../errors.ts";
import { random } from "./random.ts";

/** A split and its share of the pictures, 0–1. */
export interface SplitShare {
  readonly name: string;
  readonly share: number;
}

/**
 * "test=0.1,validation=0.05" → these, and "train" with what is left, first.
 *
 * @throws InputError `SPLIT_SHARES`
 */
export function parseSplits(text: string): SplitShare[] {
  const given = text.split(",").map((part): SplitShare => {
    const [, name = "", share = ""] = /^\s*([a-z][a-z0-9_-]{0,30})\s*=\s*(0?\.\d+)\s*$/i.exec(part) ?? [];
    if (name === "" || name === "train") throw refusedShares(part.trim());
    return { name, share: Number(share) };
  });
  const left = 1 - given.reduce((sum, { share }) => sum + share, 0);
  if (!(left > 0) || new Set(given.map(({ name }) => name)).size < given.length) throw refusedShares(text);
  return [{ name: "train", share: left }, ...given];
}

function refusedShares(got: string): InputError {
  const expected = "splits besides train and their shares, as test=0.1,validation=0.05";
  return new InputError("SPLIT_SHARES", { expected, got: `"${got}"`, where: "--split" });
}

/** Where a sample goes; undefined where its pictures belong to several. Samples without pictures are for training. */
export function splitOf(images: readonly string[], splits: readonly SplitShare[]): string | undefined {
  const names = new Set(images.map((image) => splitOfPicture(image, splits)));
  if (names.size === 0) return splits[0]?.name;
  return names.size === 1 ? [...names][0] : undefined;
}

function splitOfPicture(image: string, splits: readonly SplitShare[]): string {
  let place = random("split", image).float();
  // from the end, so that few pictures change sides when a split is added
  for (const { name, share } of splits.slice(1)) {
    if (place < share) return name;
    place -= share;
  }
  return splits[0]?.name ?? "";
}
