// Keeps pictures out of training: splits by picture, never by sample, so that no held-out picture was ever seen.
import { InputError } from "../errors.ts";
import { random } from "./random.ts";

/** Which pictures to keep out: the last `count` as they appear, or a seeded random fraction. */
export type SplitRule = { readonly last: number } | { readonly fraction: number; readonly seed: number };

export interface Split<T> {
  readonly training: readonly T[];
  /** items all of whose pictures are kept out */
  readonly heldOut: readonly T[];
  /** items with pictures on both sides; they belong to neither */
  readonly mixed: readonly T[];
  /** the pictures that were kept out, in order of appearance */
  readonly pictures: readonly string[];
}

/**
 * Splits items (samples or captioned pictures) by the pictures they show; items without pictures are for training.
 *
 * @throws InputError `SPLIT_SIZE` when nothing would be left on either side
 */
export function splitByPicture<T>(
  items: readonly T[],
  picturesOf: (item: T) => readonly string[],
  rule: SplitRule,
): Split<T> {
  const pictures = [...new Set(items.flatMap(picturesOf))];
  const out = new Set(choose(pictures, rule));
  const training: T[] = [];
  const heldOut: T[] = [];
  const mixed: T[] = [];
  for (const item of items) {
    const shown = picturesOf(item);
    const hidden = shown.filter((picture) => out.has(picture)).length;
    (hidden === 0 ? training : hidden === shown.length ? heldOut : mixed).push(item);
  }
  return { training, heldOut, mixed, pictures: pictures.filter((picture) => out.has(picture)) };
}

function choose(pictures: readonly string[], rule: SplitRule): readonly string[] {
  const count = "last" in rule ? rule.last : Math.round(rule.fraction * pictures.length);
  if (!Number.isInteger(count) || count < 1 || count >= pictures.length) {
    throw new InputError("SPLIT_SIZE", {
      expected: `between 1 and ${pictures.length - 1} of ${pictures.length} pictures to keep out`,
      got: "last" in rule ? String(rule.last) : `a fraction of ${rule.fraction}, which is ${count}`,
    });
  }
  return "last" in rule ? pictures.slice(-count) : random("split", rule.seed).sample(pictures, count);
}
