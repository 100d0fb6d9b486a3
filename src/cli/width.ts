// How much room text takes on a terminal: columns, cutting, wrapping.
import stringWidth from "string-width";
import type { Line, Piece } from "./screen.ts";

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
const plain = /^[\u0020-\u007E]*$/;

/** Columns that a text takes; control characters take none. */
export function textWidth(text: string): number {
  return plain.test(text) ? text.length : stringWidth(text);
}

/** What of a text fits into so many columns, and what does not; characters stay whole. */
export function cutAt(text: string, columns: number): readonly [string, string] {
  if (textWidth(text) <= columns) return [text, ""];
  let [room, end] = [columns, 0];
  for (const { segment } of graphemes.segment(text)) {
    const width = textWidth(segment);
    if (width > room) break;
    room -= width;
    end += segment.length;
  }
  return [text.slice(0, end), text.slice(end)];
}

/** Pieces as lines of at most `columns` columns: broken at white space and "\n", words that are longer anywhere. */
export function wrapPieces(pieces: readonly Piece[], columns: number): Line[] {
  const lines: Piece[][] = [[]];
  let used = 0;
  let gap: Piece | undefined;
  const feed = (): void => {
    lines.push([]);
    used = 0;
    gap = undefined;
  };
  for (const word of wordsOf(pieces)) {
    if (word === "\n") feed();
    else if ("space" in word) gap = used === 0 ? undefined : word.space;
    else {
      const width = word.pieces.reduce((sum, { text }) => sum + textWidth(text), 0);
      if (used > 0 && used + (gap ? 1 : 0) + width > columns) feed();
      if (gap) {
        join(lines.at(-1)!, gap);
        used++;
        gap = undefined;
      }
      for (const piece of word.pieces) {
        for (let rest = piece.text; rest !== "";) {
          const [head, tail] = cutAt(rest, columns - used);
          // a character that is wider than the line stands alone
          const shown = head === "" && used === 0 ? rest : head;
          if (shown !== "") join(lines.at(-1)!, { ...piece, text: shown });
          used += textWidth(shown);
          rest = shown === rest ? "" : tail;
          if (rest !== "") feed();
        }
      }
    }
  }
  return lines;
}

type Word = "\n" | { readonly space: Piece } | { readonly pieces: readonly Piece[] };

/** Words that may span pieces, with the white space and line breaks between them. */
function wordsOf(pieces: readonly Piece[]): Word[] {
  const words: Word[] = [];
  let open: Piece[] = [];
  const close = (): void => {
    if (open.length > 0) words.push({ pieces: open });
    open = [];
  };
  for (const piece of pieces) {
    for (const [text] of piece.text.matchAll(/\n|[^\S\n]+|\S+/gu)) {
      const solid = /\S/u.test(text);
      if (!solid) close();
      if (text === "\n") words.push("\n");
      else if (solid) open.push({ ...piece, text });
      else words.push({ space: { ...piece, text: " " } });
    }
  }
  close();
  return words;
}

/** Adds a piece to a line, one with the last where they look alike. */
function join(line: Piece[], piece: Piece): void {
  const last = line.at(-1);
  if (last !== undefined && last.style === piece.style)
    line[line.length - 1] = { ...last, text: last.text + piece.text };
  else line.push(piece);
}
