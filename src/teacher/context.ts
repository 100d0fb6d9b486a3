// What a teacher is told of a picture, part by part, as the kind asks for it.
import type { BoxedObject, CaptionedPicture } from "../data/sample.ts";
import { cleanText } from "./facts/caption.ts";
import { cleanName } from "./facts/names.ts";
import type { FactSheet } from "./sheet.ts";

/** Parts of the context, in the order in which they are written. */
export const contextParts = ["captions", "boxes", "regions", "counts", "absent"] as const;
export type ContextPart = (typeof contextParts)[number];

/** Why a kind has nothing to ask of a picture. */
export type SkipReason = "no usable caption" | "no regions" | "no picture" | "nothing to count" | "nothing absent";

/** Beyond these a prompt would grow without telling more. */
const mostCaptions = 20;
const mostBoxes = 100;

/**
 * Captions line by line; after an empty line boxes as `name: [left, top, right, bottom]` with three decimals, as LLaVA
 * writes them; then regions likewise, numbers as `dogs: 2`, and what is not there in one line.
 */
export function contextOf(
  picture: CaptionedPicture,
  parts: readonly ContextPart[],
  sheet: () => FactSheet | undefined,
): { readonly context: string } | { readonly skipped: SkipReason } {
  const blocks: string[] = [];
  for (const part of contextParts) {
    if (!parts.includes(part)) continue;
    const lines = writers[part](picture, sheet);
    if (typeof lines === "string") return { skipped: lines };
    if (lines.length > 0) blocks.push(lines.join("\n"));
  }
  return { context: blocks.join("\n\n") };
}

type Writer = (picture: CaptionedPicture, sheet: () => FactSheet | undefined) => readonly string[] | SkipReason;

const writers: Readonly<Record<ContextPart, Writer>> = {
  captions({ captions }) {
    const usable = captions.map(cleanText).filter((caption) => caption !== undefined);
    // boxes alone tell too little for a talk
    return usable.length === 0 ? "no usable caption" : usable.slice(0, mostCaptions);
  },
  boxes: ({ objects = [] }) => objects.slice(0, mostBoxes).map(({ name, box }) => `${cleanName(name)}: ${edges(box)}`),
  regions({ regions, objects }) {
    const lines = (regions ?? objects ?? []).flatMap(({ name, box }) => {
      const text = cleanText(name);
      return text === undefined ? [] : [`${text.replace(/\.$/, "")}: ${edges(box)}`];
    });
    return lines.length === 0 ? "no regions" : lines.slice(0, mostBoxes);
  },
  counts(_picture, sheet) {
    const groups = [...(sheet()?.scene.groups.values() ?? [])].filter(({ countable }) => countable);
    return groups.length === 0 ? "nothing to count" : groups.map(({ name, boxes }) => `${name}: ${boxes.length}`);
  },
  absent(_picture, sheet) {
    const names = sheet()?.absent() ?? [];
    return names.length === 0 ? "nothing absent" : [`Not in the picture: ${names.join(", ")}`];
  },
};

function edges(box: BoxedObject["box"]): string {
  return `[${box.map((edge) => edge.toFixed(3)).join(", ")}]`;
}
