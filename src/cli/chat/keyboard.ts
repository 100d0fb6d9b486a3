// The keyboard of a terminal between us and the reader of lines: pasted text, Ctrl-C during an answer, terminal replies.
import { PassThrough } from "node:stream";

/** What we need of a terminal's input. */
export interface KeySource {
  setEncoding(encoding: "utf8"): unknown;
  setRawMode(raw: boolean): unknown;
  on(event: "data", listener: (text: string) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  off(event: "data", listener: (text: string) => void): unknown;
  pause(): unknown;
  resume(): unknown;
}

/** stands for a line break in pasted text until the line is sent */
export const pastedBreak = "⏎";

const ESC = "\u001B";
const [pasteOn, pasteOff] = [`${ESC}[?2004h`, `${ESC}[?2004l`];
const [pasteStart, pasteEnd] = [`${ESC}[200~`, `${ESC}[201~`];
/** answers to questions about the terminal itself: APC, DCS, sizes, device attributes; no key sends these */
// oxlint-disable-next-line no-control-regex
const reply = /\u001B(?:_[^\u001B]*\u001B\\|P[^\u001B]*\u001B\\|\[[\d;]*t|\[\?[\d;]*c)/g;
// oxlint-disable-next-line no-control-regex
const attributes = /\u001B\[\?[\d;]*c/;
/** keys that are typed while an answer is said wait; nobody types more */
const mostHeld = 65_536;
const mostPasted = 2 ** 20;

export class Keyboard {
  /** what the reader of lines reads */
  readonly lines: PassThrough & { setRawMode(raw: boolean): void };
  readonly #source: KeySource;
  readonly #output: { write(text: string): unknown };
  #interrupted: (() => void) | undefined;
  #asked: ((text: string) => void) | undefined;
  #held = "";
  /** what came of a paste so far */
  #paste: string | undefined;
  /** a chunk's end that may be the beginning of a paste's mark */
  #partial = "";

  constructor(source: KeySource, output: { write(text: string): unknown }) {
    this.#source = source;
    this.#output = output;
    this.lines = Object.assign(new PassThrough(), { setRawMode: (raw: boolean) => void source.setRawMode(raw) });
    source.setEncoding("utf8");
    source.on("data", this.#take);
    source.on("end", () => this.lines.end());
    source.setRawMode(true);
    output.write(pasteOn);
  }

  /** Until the returned function is called keys wait, and Ctrl-C calls `interrupted`. */
  hold(interrupted: () => void): () => void {
    this.#interrupted = interrupted;
    return () => {
      this.#interrupted = undefined;
      const held = this.#held;
      this.#held = "";
      if (held !== "") this.lines.write(held);
    };
  }

  /** Asks the terminal about itself: what it replies within `ms`, "" for one that stays silent. */
  async ask(questions: string, ms: number): Promise<string> {
    // every terminal tells its device attributes (ECMA-48), so nothing is waited for longer than that takes
    this.#output.write(`${questions}${ESC}[c`);
    return new Promise((resolve) => {
      let text = "";
      const done = (): void => {
        clearTimeout(timer);
        this.#asked = undefined;
        resolve(text);
      };
      const timer = setTimeout(done, ms);
      this.#asked = (chunk) => {
        text += chunk;
        if (attributes.test(text)) done();
      };
    });
  }

  /** Leaves the terminal as it was. */
  close(): void {
    this.#source.off("data", this.#take);
    this.#source.setRawMode(false);
    this.#source.pause();
    this.#output.write(pasteOff);
  }

  readonly #take = (chunk: string): void => {
    this.#asked?.(chunk);
    let text = this.#partial + chunk.replaceAll(reply, "");
    // oxlint-disable-next-line no-control-regex
    this.#partial = /\u001B\[20[01]?$/.exec(text)?.[0] ?? "";
    text = text.slice(0, text.length - this.#partial.length);
    for (;;) {
      const mark = this.#paste === undefined ? pasteStart : pasteEnd;
      const at = text.indexOf(mark);
      const before = at < 0 ? text : text.slice(0, at);
      if (this.#paste === undefined) this.#pass(before);
      else this.#paste = (this.#paste + before).slice(0, mostPasted);
      if (at < 0) return;
      if (this.#paste !== undefined) this.#forward(pasted(this.#paste));
      this.#paste = this.#paste === undefined ? "" : undefined;
      text = text.slice(at + mark.length);
    }
  };

  #pass(text: string): void {
    if (this.#interrupted === undefined) return this.#forward(text);
    for (let i = text.split("\u0003").length - 1; i > 0; i--) this.#interrupted?.();
    this.#forward(text.replaceAll("\u0003", ""));
  }

  #forward(text: string): void {
    if (text === "") return;
    if (this.#interrupted === undefined) this.lines.write(text);
    else this.#held = (this.#held + text).slice(0, mostHeld);
  }
}

/** Pasted text on one line, its last line break left out, without what a terminal or a reader of lines would obey. */
function pasted(text: string): string {
  return (
    text
      .replace(/(?:\r\n?|\n)$/, "")
      .replaceAll(/\r\n?|[\n\u2028\u2029]/g, pastedBreak)
      .replaceAll("\t", " ")
      // oxlint-disable-next-line no-control-regex
      .replaceAll(/[\u0000-\u001F\u007F-\u009F]/g, "")
  );
}
