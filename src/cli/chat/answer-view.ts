// An answer on the terminal while it is said: what can still change is redrawn in place, what cannot is written once.
import { harmless } from "../harmless.ts";
import { createScreen, type Line, paintLine, type Terminal } from "../screen.ts";
import { markdownLines, splitSettled } from "./markdown.ts";

export interface AnswerView {
  /** Takes the next piece of the answer. */
  push(text: string): void;
  /** Writes what is left, and ends the line. */
  end(): void;
}

/** no block is read again and again beyond this many characters: a hostile answer would stall the terminal */
const longestOpen = 4096;
/** milliseconds between two drawings, and how many times as long as the last one took */
const [pause, share] = [30, 3];

export interface ViewOptions {
  readonly colour: boolean;
  readonly now?: () => number;
}

/** Shows Markdown as it comes. */
export function createMarkdownView(terminal: Terminal, options: ViewOptions): AnswerView {
  return new MarkdownView(terminal, options);
}

/** Writes text as it is, without what a terminal would obey. */
export function createPlainView(output: Pick<Terminal, "write">): AnswerView {
  let ended = true;
  return {
    push: (text) => {
      const shown = harmless(text);
      ended = shown === "" ? ended : shown.endsWith("\n");
      output.write(shown);
    },
    end: () => {
      if (!ended) output.write("\n");
    },
  };
}

class MarkdownView implements AnswerView {
  readonly #terminal: Terminal;
  readonly #colour: boolean;
  readonly #now: () => number;
  readonly #screen: ReturnType<typeof createScreen>;
  #open = "";
  #written = false;
  /** when the next drawing is due */
  #due = -Infinity;

  constructor(terminal: Terminal, { colour, now = () => performance.now() }: ViewOptions) {
    this.#terminal = terminal;
    this.#colour = colour;
    this.#now = now;
    this.#screen = createScreen(terminal, colour);
  }

  push(text: string): void {
    this.#open += harmless(text);
    while (this.#open.length > longestOpen) {
      const [settled] = splitSettled(this.#open.slice(0, longestOpen));
      this.#settle(settled.length || longestOpen);
    }
    const started = this.#now();
    if (started < this.#due) return;
    const [settled] = splitSettled(this.#open);
    if (settled !== "") this.#settle(settled.length);
    const lines = this.#spaced(this.#lines(this.#open));
    // above the first row nothing could be redrawn
    this.#screen.draw(lines.slice(-Math.max(1, (this.#terminal.rows ?? 24) - 2)));
    const ended = this.#now();
    this.#due = ended + Math.max(pause, share * (ended - started));
  }

  end(): void {
    this.#settle(this.#open.length);
  }

  /** Writes the first so many characters for good. */
  #settle(length: number): void {
    this.#screen.erase();
    const lines = this.#spaced(this.#lines(this.#open.slice(0, length)));
    this.#open = this.#open.slice(length);
    if (lines.length === 0) return;
    this.#terminal.write(lines.map((line) => `${paintLine(line, this.#colour)}\n`).join(""));
    this.#written = true;
  }

  #lines(text: string): Line[] {
    return markdownLines(text, (this.#terminal.columns ?? 80) - 1);
  }

  #spaced(lines: Line[]): Line[] {
    return this.#written && lines.length > 0 ? [[], ...lines] : lines;
  }
}
