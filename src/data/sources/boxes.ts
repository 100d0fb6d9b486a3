// Data sets of boxes and phrases: one small interface that a reader fills, and what they all have in common.
import { InputError } from "../../errors.ts";
import type { BoxedObject } from "../sample.ts";
import { refused, shown } from "../untrusted.ts";
import { Gathered } from "./gathered.ts";
import { findImagesRoot, settleMissing } from "./images.ts";
import { sourceOf, type Source, type SourceKind, type SourceOptions } from "./source.ts";

/** A named box in pixels: left, top, right, bottom. */
export interface PixelBox {
  readonly name: string;
  readonly edges: readonly [left: number, top: number, right: number, bottom: number];
}

/** What an annotation file says of one picture; several may speak of the same. */
export interface Annotated {
  /** relative to the images folder */
  readonly image: string;
  /** in pixels; anything else is refused where there are boxes */
  readonly width: unknown;
  readonly height: unknown;
  readonly captions?: readonly string[];
  /** things, by name */
  readonly objects?: readonly PixelBox[];
  /** parts of the picture, by what is said of them */
  readonly regions?: readonly PixelBox[];
  /** file and line, or file and id */
  readonly where: string;
}

/**
 * A source over a reader of such annotations. Boxes are cut at the picture's edges; what has no area inside is left
 * out. People drew boxes around what they spoke of, so nothing follows from a missing box, and nothing is counted.
 *
 * @throws InputError `CAPTIONS_EMPTY`, `PICTURES_MISSING`, `IMAGES_FOLDER`, `BOX`, and what the reader throws
 */
export async function openAnnotated(
  kind: SourceKind,
  base: string,
  annotations: AsyncIterable<Annotated>,
  options: SourceOptions,
): Promise<Source> {
  const gathered = new Gathered({ partial: true });
  let flat = 0;
  for await (const { image, width, height, where, captions = [], ...boxes } of annotations) {
    const toFractions = (list: readonly PixelBox[] | undefined): BoxedObject[] | undefined =>
      list?.flatMap(({ name, edges }) => {
        if (!isLength(width) || !isLength(height))
          throw refused("BOX", "width and height of a picture with boxes, in pixels", shown({ width, height }), where);
        const box = fractions(edges, { width, height });
        if (box === undefined) flat++;
        return box === undefined ? [] : [{ name, box }];
      });
    gathered.add(image, { captions, objects: toFractions(boxes.objects), regions: toFractions(boxes.regions) });
  }
  if (gathered.size === 0) {
    throw new InputError("CAPTIONS_EMPTY", {
      expected: "at least one picture with annotations",
      got: "none",
      where: base,
    });
  }
  const root = await findImagesRoot(base, gathered, options);
  const notes = await settleMissing(gathered, root, base, "PICTURES_MISSING", options);
  if (flat > 0) notes.push(`left out: ${flat} boxes without area inside their picture`);
  return sourceOf(kind, root, gathered, notes);
}

/** Pixels to fractions of the picture, cut at its edges; undefined for a box without area inside. */
export function fractions(
  [left, top, right, bottom]: readonly [number, number, number, number],
  { width, height }: { readonly width: number; readonly height: number },
): BoxedObject["box"] | undefined {
  const inside = (value: number): number => Math.min(1, Math.max(0, value));
  const [x1, y1, x2, y2] = [inside(left / width), inside(top / height), inside(right / width), inside(bottom / height)];
  return x1 < x2 && y1 < y2 ? [x1, y1, x2, y2] : undefined;
}

/** Whether a value can be a width or height. */
export function isLength(value: unknown): value is number {
  return typeof value === "number" && value > 0 && Number.isFinite(value);
}
