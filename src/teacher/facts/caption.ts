// A caption made fit for use: cleaned into one sentence, or refused; and its words.
import { capitalised } from "./names.ts";

/** A cleaned caption with its lower-case words; punctuation marks are words of their own. */
export interface Caption {
  /** one sentence, first letter upper case, ending in a full stop */
  readonly text: string;
  readonly words: readonly string[];
}

/** Longer captions are cut off from use: what they hold is no longer one sentence about a picture. */
const longestCaption = 600;

/** What annotators write when they saw nothing; and markup that must never become a turn. */
const unusable =
  /unable to see|no image (here|to|again)|cannot see|can't see (the|this|an) (image|picture)|<[^>]*>|<\||https?:\/\//i;

/** White space other than single spaces. */
const oddSpace = /[^\S ]| {2}/;

const punctuation = /^[.,;:!?()"]$/;

/** The caption as one clean sentence with its words; undefined as `cleanText` says. */
export function cleanCaption(raw: string): Caption | undefined {
  const text = cleanText(raw);
  return text === undefined ? undefined : { text, words: wordsOf(text) };
}

/** The caption as one clean sentence, or undefined when it is empty, too long, markup, or says that nothing was seen. */
export function cleanText(raw: string): string | undefined {
  if (raw.length > longestCaption || unusable.test(raw)) return undefined;
  // most captions are spaced well: to look first is cheaper than to replace each space by itself
  let text = (oddSpace.test(raw) ? raw.replace(/\s+/g, " ") : raw).trim();
  // some annotators press the space bar before the full stop, or write all in capitals
  text = text.replace(/ +([.,;:!?])/g, "$1").replace(/,(?=[a-z])/g, ", ");
  text = text.replace(/^["'`]+|["'`]+$/g, "").replace(/[\s.,;:]+$/, "");
  if (text.length < 3) return undefined;
  if (!/[a-z]/.test(text) && text.replace(/[^A-Z]/g, "").length > 8) text = text.toLowerCase();
  text = capitalised(text);
  return /[!?]$/.test(text) ? text : `${text}.`;
}

/** Lower-case words and punctuation marks, possessive endings and quotes removed. */
export function wordsOf(text: string): string[] {
  const found = text.toLowerCase().match(/[\p{L}\p{N}]+(?:'[\p{L}]+)?|[.,;:!?]/gu) ?? [];
  return found.map((word) => (word.endsWith("'s") ? word.slice(0, -2) : word));
}

/** Whether a word ends a phrase. */
export function isPunctuation(word: string): boolean {
  return punctuation.test(word);
}

const functionWords = new Set(
  (
    "a an the this that these those there here is are was were be been being am has have had having do does did of in on at by to from with without " +
    "and or but while as for into onto over under near next beside behind between among through across along around up down out off above below inside outside " +
    "its his her their it he she they them him who which what where when some any one two three four five six several many few couple group lot lots bunch " +
    "other another each very can be could will would just not no about against towards toward front back top side picture image photo photograph view shown " +
    "large small big little old young"
  ).split(" "),
);

/** The words that carry a caption's content, cut to a rough stem so that "rides" and "riding" meet. */
export function contentStems(words: readonly string[]): Set<string> {
  const stems = new Set<string>();
  for (const word of words) if (!isPunctuation(word) && !functionWords.has(word)) stems.add(stem(word));
  return stems;
}

function stem(word: string): string {
  const cut = word.replace(/(ing|ed|es|s|e)$/, "");
  return cut.length >= 3 ? cut.replace(/(.)\1$/, "$1") : word;
}
