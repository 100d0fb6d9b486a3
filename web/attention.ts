// From the attention of tokens to that of words, and from a word's weights to what is drawn.
import type { Attention } from "./wire.ts";

/** A word of the answer with the weights of its tokens, averaged: by picture, view and patch. */
export interface Word {
  readonly text: string;
  readonly weights: Attention["tokens"][number]["weights"];
  /** the part of its attention that lay on pictures, 0 to 1 */
  readonly seen: number;
}

/** Joins tokens to words: one begins where a token begins with a space. */
export function wordsOf(tokens: Attention["tokens"]): Word[] {
  const groups: Attention["tokens"][number][][] = [];
  for (const token of tokens) {
    const last = groups.at(-1);
    const ended = last !== undefined && /\s$/.test(last.at(-1)!.text);
    if (last === undefined || ended || /^\s/.test(token.text)) groups.push([token]);
    else last.push(token);
  }
  return groups.map((group) => {
    const weights = group[0]!.weights.map((views, picture) =>
      views.map((patches, view) =>
        patches.map((_, patch) => mean(group.map((t) => t.weights[picture]![view]![patch]!))),
      ),
    );
    return { text: group.map(({ text }) => text).join(""), weights, seen: weights.flat(2).reduce((a, b) => a + b, 0) };
  });
}

/** What is drawn of a word: its weights, or how far they lie above what the whole answer looked at. */
export function heatOf(word: Word, words: readonly Word[], compared: boolean): Word["weights"] {
  // one word alone has nothing to be compared with
  if (!compared || words.length < 2) return scaled(word.weights);
  const shares = words.map(shareOf);
  const own = shareOf(word);
  return scaled(
    own.map((views, picture) =>
      views.map((patches, view) =>
        patches.map((share, patch) => Math.max(0, share - mean(shares.map((each) => each[picture]![view]![patch]!)))),
      ),
    ),
  );
}

/** Which part of the pictures a word looked at most, in words. */
export function placeOf(
  patches: readonly number[],
  { rows, columns }: { readonly rows: number; readonly columns: number },
) {
  const total = patches.reduce((a, b) => a + b, 0);
  if (total === 0) return "nowhere in particular";
  const along = (size: number, at: (patch: number) => number): number =>
    patches.reduce((sum, weight, patch) => sum + (weight / total) * ((at(patch) + 0.5) / size), 0);
  const x = along(columns, (patch) => patch % columns);
  const y = along(rows, (patch) => Math.floor(patch / columns));
  const side = x < 0.42 ? "left" : x > 0.58 ? "right" : "";
  const height = y < 0.42 ? "top" : y > 0.58 ? "bottom" : "";
  if (height !== "") return `at the ${height}${side === "" ? "" : ` ${side}`}`;
  return side === "" ? "in the middle" : `on the ${side}`;
}

function shareOf({ weights, seen }: Word): Word["weights"] {
  return weights.map((views) => views.map((patches) => patches.map((weight) => (seen === 0 ? 0 : weight / seen))));
}

/** The largest weight becomes 1. */
function scaled(weights: Word["weights"]): Word["weights"] {
  const most = Math.max(...weights.flat(2), Number.MIN_VALUE);
  return weights.map((views) => views.map((patches) => patches.map((weight) => weight / most)));
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}
