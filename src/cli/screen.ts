// Lines at the bottom of a terminal that are redrawn in place; what is logged meanwhile goes above them.
import { harmless } from "./harmless.ts";
import { cutAt, textWidth } from "./width.ts";

/** Where lines are drawn; stderr but in tests. */
export interface Terminal {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

export interface Screen {
  /** Draws these lines in the place of those before, each cut to the terminal's width. */
  draw(lines: readonly Line[]): void;
  /** Takes the lines away. */
  erase(): void;
  /** Leaves the lines where they are; the next are drawn below. */
  forget(): void;
}

/** A line as styled pieces. */
export type Line = readonly Piece[];
export interface Piece {
  readonly text: string;
  readonly style?: Style;
}
export type Style = keyof typeof styles;

const styles = {
  dim: "2",
  bold: "1",
  italic: "3",
  boldItalic: "1;3",
  struck: "9",
  title: "1;4",
  line: "36",
  mark: "33",
  good: "32",
} as const;
const ESC = "\u001B[";
// terminals that know this mode show a frame whole or not at all; others pass over it
const [BEGIN, END] = [`${ESC}?2026h`, `${ESC}?2026l`];

/** Draws on a terminal. The cursor rests below the lines, so that whatever ends the program leaves a usable shell. */
export function createScreen(terminal: Terminal, colour = true): Screen {
  let widths: readonly number[] = [];
  /** up to the first of our lines: a terminal that became narrower has wrapped them */
  const home = (): string => {
    const columns = terminal.columns ?? 80;
    const rows = widths.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    return rows === 0 ? "\r" : `\r${ESC}${rows}A`;
  };
  return {
    draw(lines) {
      const start = home();
      const room = (terminal.columns ?? 80) - 1;
      const cut = lines.map((line) => cutLine(line, room));
      const text = cut.map((line) => `${paintLine(line, colour)}${ESC}K\n`).join("");
      terminal.write(`${BEGIN}${start}${text}${ESC}J${END}`);
      widths = cut.map((line) => line.reduce((sum, piece) => sum + textWidth(piece.text), 0));
    },
    erase() {
      if (widths.length > 0) terminal.write(`${home()}${ESC}J`);
      widths = [];
    },
    forget() {
      widths = [];
    },
  };
}

function cutLine(line: Line, room: number): Line {
  const kept: Piece[] = [];
  for (const piece of line) {
    const [text] = cutAt(printable(piece.text), room);
    room -= textWidth(text);
    kept.push({ ...piece, text });
  }
  return kept;
}

/** What a model says may hold anything: control characters would move the cursor. */
function printable(text: string): string {
  return harmless(text.replaceAll(/\s/g, " "));
}

/** A line as it is written to a terminal. */
export function paintLine(line: Line, colour: boolean): string {
  return line
    .map(({ text, style }) => (style === undefined || !colour ? text : `${ESC}${styles[style]}m${text}${ESC}0m`))
    .join("");
}
