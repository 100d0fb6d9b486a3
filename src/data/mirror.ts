// Mirrored samples: a picture flipped left to right, and the words that say left or right flipped with it.
import { encodeSample, type EncodedSample, type Encoding } from "./encode.ts";
import type { Sample, Turn } from "./sample.ts";

/** Words that are wrong of a flipped picture, or may be. */
const handedWord = "\\b(?:left|right|leftmost|rightmost|clockwise|counterclockwise|anticlockwise)\\b";
const handed = new RegExp(handedWord, "i");
const everyHanded = new RegExp(handedWord, "gi");
/** What is written in a picture, and what a clock shows, can't be read in its mirror image. */
const written = /["“”]|\b(reads|says|saying|written|writing|spell(s|ed|ing)|o'clock|what time)\b/i;
/** Where left and right are sides and nothing else: people also leave, and stand right next to things. */
const sides =
  /\b(?:(?:on|to|at|in|from|toward|towards) (?:the|its|his|her|their) (?:far |very )?(?:left|right)|(?:left|right)(?= (?:side|hand|corner|edge|half)\b))\b/gi;

/** Kinds of the built-in teacher whose every word is its own: left and right are sides of the picture. */
const ownWords: ReadonlySet<unknown> = new Set([
  "left-right",
  "place",
  "presence",
  "count",
  "above-below",
  "larger-smaller",
  "colour",
  "list",
]);

/**
 * The conversation that is true of the sample's pictures flipped left to right, or undefined where that can't be known:
 * words about what is written, and left or right in words of others. In the built-in teacher's own questions left and
 * right are sides and change places; in captions that it passes on only where a phrase makes them so.
 */
export function mirroredTurns({ conversations, images, extra }: Sample): readonly Turn[] | undefined {
  const text = conversations.map(({ value }) => value).join("\n");
  if (images.length === 0 || written.test(text)) return undefined;
  if (!handed.test(text)) return conversations;
  const swapped = swapFor(extra);
  if (swapped === undefined) return undefined;
  const turns = conversations.map(({ from, value }) => ({ from, value: swapped(value) }));
  return turns.every(({ value }) => !value.includes(unsure)) ? turns : undefined;
}

/** The sample with its pictures flipped, as tokens; undefined where its text has no mirror image, or one that is too long. */
export function mirrorSample(sample: Sample, encoding: Encoding, maxTokens: number): EncodedSample | undefined {
  const conversations = mirroredTurns(sample);
  if (conversations === undefined) return undefined;
  const encoded = encodeSample({ ...sample, id: `${sample.id} (mirrored)`, conversations }, encoding);
  return encoded.ids.length > maxTokens ? undefined : encoded;
}

const unsure = "\u0000";

function swapFor({ teacher, kinds }: Sample["extra"]): ((text: string) => string) | undefined {
  if (teacher === "facts" && Array.isArray(kinds) && kinds.every((kind) => ownWords.has(kind))) return swapWords;
  return teacher === "facts" || teacher === "captions" ? swapPhrases : undefined;
}

const others: Readonly<Record<string, string>> = {
  left: "right",
  right: "left",
  Left: "Right",
  Right: "Left",
  leftmost: "rightmost",
  rightmost: "leftmost",
};

const swapWords = (text: string): string => text.replace(everyHanded, (word) => others[word] ?? unsure);

/** Swaps within phrases that name a side; any other left or right leaves a mark of doubt. */
function swapPhrases(text: string): string {
  let rest = "";
  let from = 0;
  for (const { 0: phrase, index } of text.matchAll(sides)) {
    rest += doubted(text.slice(from, index)) + swapWords(phrase);
    from = index + phrase.length;
  }
  return rest + doubted(text.slice(from));
}

const doubted = (text: string): string => (handed.test(text) ? unsure : text);
