// What captions and boxes together say of one picture, and how far each fact can be trusted.
import type { BoxedObject, CaptionedPicture } from "../../data/sample.ts";
import { cleanCaption, type Caption } from "./caption.ts";
import { findMentions, statedCount, type Mention, type MentionIndex } from "./mention.ts";
import { cleanName, numberOf } from "./names.ts";
import { impliedBy } from "./synonyms.ts";

export type Box = BoxedObject["box"];

/** All objects of one name in one picture. */
export interface Group {
  readonly name: string;
  /** largest first */
  readonly boxes: readonly Box[];
  /** share of the picture that the largest box covers, 0–1 */
  readonly area: number;
  /** captions and boxes agree on the number, and no box is too small or doubled to be counted */
  readonly countable: boolean;
}

/** A picture as the fact kinds read it. */
export interface Scene {
  readonly id: string;
  readonly captions: readonly Caption[];
  /** sure mentions of objects, one list per caption */
  readonly mentions: readonly (readonly Mention[])[];
  /** by name, largest first; empty when the source has no boxes */
  readonly groups: ReadonlyMap<string, Group>;
  /** names that are present, or that captions or other objects make possible: never to be called absent */
  readonly doubtful: ReadonlySet<string>;
  /** false when the source has no boxes, or not all: then nothing can be called absent */
  readonly boxed: boolean;
}

/** Objects below this share of the picture are too small to be counted on (15 pixels across at 336). */
const smallestCounted = 0.002;
const longestName = 60;

/** Reads one picture. `index` holds the names of the whole source. */
export function studyPicture(picture: CaptionedPicture, index: MentionIndex): Scene {
  const captions = picture.captions.map(cleanCaption).filter((caption) => caption !== undefined);
  const mentions = captions.map((caption) => findMentions(caption.words, index));
  const boxes = groupBoxes(picture.objects ?? []);
  const doubtful = new Set(boxes.keys());
  for (const list of mentions) for (const mention of list) doubtful.add(mention.name);
  for (const name of boxes.keys()) for (const other of impliedBy(name)) doubtful.add(other);
  const groups = new Map<string, Group>();
  for (const [name, list] of boxes) {
    list.sort((a, b) => areaOf(b) - areaOf(a));
    const countable =
      picture.partial !== true && canCount(list) && captionsAgree(name, list.length, captions, mentions);
    groups.set(name, { name, boxes: list, area: areaOf(list[0] as Box), countable });
  }
  const bySize = [...groups].sort(([, a], [, b]) => b.area - a.area);
  return {
    id: picture.id,
    captions,
    mentions: mentions.map((list) => list.filter((mention) => mention.sure)),
    groups: new Map(bySize),
    doubtful,
    boxed: picture.objects !== undefined && picture.partial !== true,
  };
}

/** The objects whose name stands for exactly one thing in the picture, large enough to be spoken of. */
export function uniqueObjects(scene: Scene, smallest: number): { readonly name: string; readonly box: Box }[] {
  const found: { name: string; box: Box }[] = [];
  for (const { name, boxes, area, countable } of scene.groups.values()) {
    if (countable && boxes.length === 1 && area >= smallest) found.push({ name, box: boxes[0] as Box });
  }
  return found;
}

export function areaOf([x1, y1, x2, y2]: Box): number {
  return (x2 - x1) * (y2 - y1);
}

/** The names of a picture, as the facts write them. */
export function namesOf(picture: CaptionedPicture): Set<string> {
  return new Set(groupBoxes(picture.objects ?? []).keys());
}

function groupBoxes(objects: readonly BoxedObject[]): Map<string, Box[]> {
  const groups = new Map<string, Box[]>();
  for (const { name: raw, box } of objects) {
    const name = cleanName(raw);
    // a name that could pass for markup, and a box that covers nothing, state no fact
    if (name === "" || name.length > longestName || /[<>|]/.test(name) || !(areaOf(box) > 0)) continue;
    const list = groups.get(name);
    if (list === undefined) groups.set(name, [box]);
    else list.push(box);
  }
  return groups;
}

/** Boxes that are large enough and not two for one thing. */
function canCount(boxes: readonly Box[]): boolean {
  if (boxes.length > 12 || areaOf(boxes.at(-1) as Box) < smallestCounted) return false;
  return boxes.every((a, i) => boxes.slice(i + 1).every((b) => overlap(a, b) < 0.7));
}

/** Intersection over union, 0–1. */
function overlap(a: Box, b: Box): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  return (width * height) / (areaOf(a) + areaOf(b) - width * height);
}

const crowds: ReadonlyMap<string, RegExp> = new Map([
  ["person", /^(crowd|crowds|crowded|audience|spectators|fans|onlookers|busy|team|teams)$/],
  ["car", /^(traffic|cars)$/],
  ["book", /^(books|bookshelf|bookshelves|bookcase|library)$/],
]);

/** No caption states another number, an uncounted many, or a plural where there is one box. */
function captionsAgree(
  name: string,
  count: number,
  captions: readonly Caption[],
  mentions: readonly (readonly Mention[])[],
): boolean {
  const crowd = crowds.get(name);
  for (const [i, caption] of captions.entries()) {
    if (crowd !== undefined && caption.words.some((word) => crowd.test(word))) return false;
    for (const mention of mentions[i] ?? []) {
      if (mention.name !== name || !mention.sure) continue;
      const stated = statedCount(caption.words, mention);
      // one pair of skis is one box
      const severalSaid = mention.plural && numberOf(name) === "singular";
      if (stated === "vague" || (severalSaid && count === 1)) return false;
      // "two men" leaves room for women; "two people" does not
      if (stated !== undefined && (mention.exact ? stated !== count : stated > count)) return false;
    }
  }
  return true;
}
