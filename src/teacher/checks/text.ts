// Words that must not become data: one rule a reason, the first that holds decides.
import type { QuestionAnswer } from "../parse.ts";

/** Why a reply that could be read was dropped for its words. */
export type TextReason =
  | "refusal"
  | "error text"
  | "source leak"
  | "coordinates"
  | "markup"
  | "answer in question"
  | "repeated question"
  | "truncated";

const rules: readonly (readonly [TextReason, RegExp])[] = [
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

export interface TextOptions {
  /** questions may name a region by its box */
  readonly boxesInQuestions?: boolean;
}

/** The reason to drop a conversation, or undefined when nothing speaks against it. */
export function checkText(
  pairs: readonly QuestionAnswer[],
  { boxesInQuestions = false }: TextOptions = {},
): TextReason | undefined {
  for (const [reason, rule] of rules) {
    const inQuestions = !(boxesInQuestions && reason === "coordinates");
    if (pairs.some(({ question, answer }) => rule.test(answer) || (inQuestions && rule.test(question)))) return reason;
  }
  if (pairs.some(givesAway)) return "answer in question";
  if (pairs.some(({ answer }) => breaksOff(answer))) return "truncated";
  return new Set(pairs.map(({ question }) => plain(question))).size < pairs.length ? "repeated question" : undefined;
}

/** Whether a longer answer only repeats the question's own words. */
function givesAway({ question, answer }: QuestionAnswer): boolean {
  const said = plain(answer);
  return said.split(" ").length >= 4 && plain(question).includes(said);
}

/** Longer running text ends with a mark; endpoints do not always say that they cut it. */
const shortest = 12;

function breaksOff(answer: string): boolean {
  const text = answer.trim();
  return text.split(/\s+/).length >= shortest && !/[.!?…:)\]"'”’*`|]$/.test(text);
}

function plain(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N} ]/gu, "")
    .trim();
}
