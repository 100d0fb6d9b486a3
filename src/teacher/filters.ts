// Which replies must not become data: one rule a reason, the first that holds decides.
import type { QuestionAnswer } from "./parse.ts";

/** Why a reply that could be read was dropped. */
export type FilterReason = "refusal" | "error text" | "source leak" | "coordinates" | "markup" | "answer in question";

const rules: readonly (readonly [FilterReason, RegExp])[] = [
  ["markup", /<image>|<\/?s>|<\|.*?\|>|<im_(start|end)>/i],
  [
    "refusal",
    /\bas an? (ai|artificial|(large )?language) |\bI('m| am) (sorry|afraid),?( but)? I\b|\bI (cannot|can't|can not|am unable to|am not able to) (see|view|access|look at|provide|assist|help)|\bwithout (seeing|access to|looking at) the\b/i,
  ],
  [
    "error text",
    /^\s*(\{\s*"?error|error\b[: ]|internal server error|rate limit)|your message is empty|^\s*<!doctype|^\s*<html/i,
  ],
  [
    "source leak",
    /\bcaptions?\b|\bbounding[ -]box|\bboxes? (?:labell?ed|listed)|\b(given|provided) (sentences?|descriptions?|information|text|details|context|annotations?)\b|\b(the|these|those) (sentences|descriptions|annotations)\b|\baccording to the (information|text|details|context)\b|\b(no|not|is|are|as|was|were) mention(ed)?\b|\baccording to the (list|image description|data)\b|\bprovided (image|list)\b/i,
  ],
  [
    "coordinates",
    /[[(]\s*[01]?\.\d+\s*,\s*[01]?\.\d+|\b[01]\.\d{2,3}\b[\s\S]{0,40}\b[01]\.\d{2,3}\b|\bcoordinates?\b/i,
  ],
];

/** The reason to drop a conversation, or undefined when nothing speaks against it. */
export function filterPairs(pairs: readonly QuestionAnswer[]): FilterReason | undefined {
  for (const [reason, rule] of rules) {
    if (pairs.some(({ question, answer }) => rule.test(question) || rule.test(answer))) return reason;
  }
  return pairs.some(givesAway) ? "answer in question" : undefined;
}

/** Whether a longer answer only repeats the question's own words. */
function givesAway({ question, answer }: QuestionAnswer): boolean {
  const plain = (text: string): string =>
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N} ]/gu, "")
      .trim();
  const said = plain(answer);
  return said.split(" ").length >= 4 && plain(question).includes(said);
}
