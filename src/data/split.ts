// Keeps pictures out of training: splits by picture, never by sample, so that no held-out picture was ever seen.
import { InputError } from "../errors.ts";
import { random } from "./random.ts";

/** How many pictures to keep out, or which share of them; their names decide which. */
export type SplitRule = { readonly count: number } | { readonly fraction: number };

export interface Division<T> {
  readonly training: readonly T[];
  /** items all of whose pictures are kept out */
  readonly heldOut: readonly T[];
  /** items with pictures on both sides; they belong to neither */
  readonly mixed: readonly T[];
}

/** Divides items by the pictures that are kept out. */
export function divideByPicture<T>(
  items: readonly T[],
  picturesOf: (item: T) => readonly string[],
  out: ReadonlySet<string>,
): Division<T> {
  const training: T[] = [];
  const heldOut: T[] = [];
  const mixed: T[] = [];
  for (const item of items) {
    const shown = picturesOf(item);
    const hidden = shown.filter((picture) => out.has(picture)).length;
    (hidden === 0 ? training : hidden === shown.length ? heldOut : mixed).push(item);
  }
  return { training, heldOut, mixed };
}

/** Throws `SPLIT_SIZE` unless something is left on either side. */
export function checkSplit(
  count: number,
  pictures: number,
  { got = String(count), where }: { readonly got?: string; readonly where?: string } = {},
): void {
  if (Number.isInteger(count) && count >= 1 && count < pictures) return;
  throw new InputError("SPLIT_SIZE", {
    expected: `between 1 and ${pictures - 1} of ${pictures} pictures to keep out`,
    got,
    ...(where === undefined ? {} : { where }),
  });
}

export interface ChooseOptions {
  /** what decides about a picture: its name unless told */
  readonly keyOf?: (picture: string) => string;
  /** who asks, for errors */
  readonly where?: string;
}

/**
 * The pictures to keep out, in order of appearance. Numbers and shares are decided by a hash of each name alone: the
 * same pictures are kept out whatever the seed, the order or the file, and few change sides when pictures are added.
 *
 * @throws InputError `SPLIT_SIZE` when nothing would be left on either side
 */
export function choosePictures(
  appearing: readonly string[],
  rule: SplitRule,
  { keyOf = (picture) => picture, where }: ChooseOptions = {},
): readonly string[] {
  const pictures = [...new Set(appearing)];
  const count = "count" in rule ? rule.count : Math.round(rule.fraction * pictures.length);
  checkSplit(count, pictures.length, {
    got: "fraction" in rule ? `a share of ${rule.fraction}, which is ${count}` : String(count),
    ...(where === undefined ? {} : { where }),
  });
  const places = pictures.map((picture) => ({ picture, place: random("kept out", keyOf(picture)).float() }));
  const out = new Set(
    places
      .toSorted((a, b) => a.place - b.place)
      .slice(0, count)
      .map(({ picture }) => picture),
  );
  return pictures.filter((picture) => out.has(picture));
}
