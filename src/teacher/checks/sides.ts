// Left and right in words, held against boxes.
import { wordsOf } from "../facts/caption.ts";
import { findMentions } from "../facts/mention.ts";
import { uniqueObjects, type Box } from "../facts/scene.ts";
import type { QuestionAnswer } from "../parse.ts";
import type { FactSheet } from "../sheet.ts";
import { polarity } from "./form.ts";

/** Centres nearer to each other than this share of the width are on no side of each other. */
const clearly = 0.05;
/** A thing said to be on the left with its centre beyond this is not there. */
const beyond = 0.6;
const smallest = 0;

/** Whether a pair says left where the boxes say right, of things whose place is certain. */
export function sidesContradict({ question, answer }: QuestionAnswer, sheet: FactSheet): boolean {
  if (!/\b(left|right)\b/i.test(`${question} ${answer}`)) return false;
  const places = new Map(uniqueObjects(sheet.scene, smallest).map(({ name, box }) => [name, box]));
  if (places.size === 0) return false;
  const said = polarity(answer);
  if (said !== undefined) {
    const claim = claimIn(question, sheet, places);
    if (claim !== undefined) return claim.holds === (said === "no") && claim.certain;
  }
  return answer.split(/(?<=[.!?;])\s+/).some((sentence) => {
    if (/\b(no|not|n't)\b|n't\b/i.test(sentence)) return false;
    const claim = claimIn(sentence, sheet, places);
    return claim !== undefined && claim.certain && !claim.holds;
  });
}

interface Claim {
  readonly holds: boolean;
  /** the boxes are far enough apart to tell */
  readonly certain: boolean;
}

/** "A … left of B", or "A … on the left" of the picture; undefined where a sentence says neither of known things. */
function claimIn(sentence: string, sheet: FactSheet, places: ReadonlyMap<string, Box>): Claim | undefined {
  const words = wordsOf(sentence);
  const at = words.findIndex((word) => word === "left" || word === "right");
  if (at < 0 || words.slice(at + 1).some((word) => word === "left" || word === "right")) return undefined;
  const mentions = findMentions(words, sheet.index).filter(({ sure, exact }) => sure && exact);
  const before = mentions.filter(({ end }) => end <= at);
  const after = mentions.filter(({ start }) => start > at);
  const [subject] = before;
  if (before.length !== 1 || subject === undefined) return undefined;
  const box = places.get(subject.name);
  if (box === undefined) return undefined;
  const side = words[at] as "left" | "right";
  if (words[at + 1] === "of" && after.length === 1) {
    const other = places.get(after[0]?.name ?? "");
    if (other === undefined) return undefined;
    const apart = centre(other) - centre(box);
    return { holds: side === "left" ? apart > 0 : apart < 0, certain: Math.abs(apart) > clearly };
  }
  // of anything but the picture, nothing is known
  if (after.length > 0 || !/\b(on|at|to|in) the (far )?(left|right)\b/i.test(sentence)) return undefined;
  if (words[at + 1] === "of" || !/\b(picture|image|photo|scene|frame)\b/i.test(sentence)) return undefined;
  const x = side === "left" ? centre(box) : 1 - centre(box);
  return { holds: x < 0.5, certain: x > beyond || x < 1 - beyond };
}

function centre([x1, , x2]: Box): number {
  return (x1 + x2) / 2;
}
