// An answer's text while its tokens arrive: surrounding white space left out, cut at an end text if one comes.
import type { DecodingStream } from "../text/stream.ts";

export interface TextOptions {
  /** each ends the answer and is not part of it */
  readonly endTexts?: readonly string[];
  readonly onText?: ((text: string) => void) | undefined;
}

export interface AnswerText {
  /** takes an id; true when an end text was met */
  push(id: number): boolean;
  /** the whole text */
  end(): string;
}

/** Collects the text of one answer; what `onText` is given, joined, is the text that `end` returns. */
export function collectText(stream: DecodingStream, { endTexts = [], onText }: TextOptions): AnswerText {
  let text = "";
  // what may still turn out not to belong to the text
  let held = "";
  let ended = false;
  const take = (fresh: string, last: boolean): void => {
    if (ended) return;
    const all = text === "" ? (held + fresh).trimStart() : held + fresh;
    const cut = firstOf(all, endTexts);
    ended = cut !== undefined;
    const certain = all.slice(0, cut ?? (last ? all.length : all.length - openEnd(all, endTexts))).trimEnd();
    held = all.slice(certain.length);
    if (certain === "") return;
    text += certain;
    onText?.(certain);
  };
  return {
    push: (id) => {
      take(stream.push(id), false);
      return ended;
    },
    end: () => {
      take(stream.end(), true);
      return text;
    },
  };
}

function firstOf(text: string, endTexts: readonly string[]): number | undefined {
  const found = endTexts.map((end) => text.indexOf(end)).filter((at) => at >= 0);
  return found.length === 0 ? undefined : Math.min(...found);
}

/** Length of the longest end of `text` that an end text begins with. */
function openEnd(text: string, endTexts: readonly string[]): number {
  const longest = Math.max(0, ...endTexts.map((end) => end.length - 1));
  for (let length = Math.min(longest, text.length); length > 0; length--) {
    if (endTexts.some((end) => end.startsWith(text.slice(text.length - length)))) return length;
  }
  return 0;
}
