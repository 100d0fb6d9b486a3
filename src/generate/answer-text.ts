// An answer's text while its tokens arrive: surrounding white space left out, cut at an end text if there is one.
import type { DecodingStream } from "../text/stream.ts";

export interface TextOptions {
  /** ends the answer and is not part of it */
  readonly endText?: string;
  readonly onText?: ((text: string) => void) | undefined;
}

export interface AnswerText {
  /** takes an id; true when the end text was met */
  push(id: number): boolean;
  /** the whole text */
  end(): string;
}

/** Collects the text of one answer; what `onText` is given, joined, is the text that `end` returns. */
export function collectText(stream: DecodingStream, { endText, onText }: TextOptions): AnswerText {
  let text = "";
  // what could still turn out to be the end: white space, or the end text's beginning
  let held = "";
  let ended = false;
  const take = (fresh: string): void => {
    if (ended || fresh === "") return;
    const all = text === "" ? (held + fresh).trimStart() : held + fresh;
    // a text that has not begun cannot have ended: leading line breaks were trimmed
    const cut = endText === undefined ? -1 : all.indexOf(endText);
    ended = cut >= 0;
    const certain = (ended ? all.slice(0, cut) : all).trimEnd();
    held = ended ? "" : all.slice(certain.length);
    if (certain === "") return;
    text += certain;
    onText?.(certain);
  };
  return {
    push: (id) => {
      take(stream.push(id));
      return ended;
    },
    end: () => {
      take(stream.end());
      return text;
    },
  };
}
