// The desk of a terminal: line editing with a history, Markdown, previews; Ctrl-C stops an answer, a second one leaves.
import { createInterface, type Interface } from "node:readline";
import type { Pixels } from "../../image/pixels.ts";
import { describeFailure } from "../failure.ts";
import { log } from "../progress.ts";
import { type AnswerView, createMarkdownView, createPlainView } from "./answer-view.ts";
import { complete } from "./completion.ts";
import type { Desk } from "./desk.ts";
import {
  canBeAsked,
  colourDepth,
  type Graphics,
  graphicsOf,
  graphicsQuestions,
  type TerminalGraphics,
} from "./graphics.ts";
import { type History, historyPath, mostLines, openHistory } from "./history.ts";
import { Keyboard, pastedBreak } from "./keyboard.ts";
import { previewOf } from "./preview.ts";

export interface TerminalOptions {
  /** lines are kept for the next chat */
  readonly history: boolean;
  /** answers as they are, without Markdown */
  readonly plain: boolean;
  /** how pictures are shown; else what the terminal says */
  readonly preview?: Graphics | undefined;
}

/** How long a terminal may take to answer; one over a slow line takes some hundred milliseconds. */
const replyMs = 400;
// npm passes a signal on to its child, which has it from the terminal already
const echoMs = 300;
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Opens stdin and stdout, which must be a terminal. */
export async function openTerminal(options: TerminalOptions): Promise<Desk> {
  const kept = options.history
    ? await openHistory(historyPath(), (error) => log(`warning: no history is kept: ${describeFailure(error) ?? ""}`))
    : { lines: [], add: async () => undefined };
  return new TerminalDesk(options, kept);
}

class TerminalDesk implements Desk {
  readonly interactive = true;
  readonly #options: TerminalOptions;
  readonly #history: History;
  readonly #keyboard: Keyboard;
  readonly #interface: Interface;
  readonly #depth = colourDepth(process.stdout.getColorDepth(), process.env);
  #graphics: Promise<TerminalGraphics> | undefined;
  #answering: AbortController | undefined;
  /** when Ctrl-C came, while nothing has been sent since */
  #asked: number | undefined;
  #interrupted = false;

  constructor(options: TerminalOptions, history: History) {
    this.#options = options;
    this.#history = history;
    this.#keyboard = new Keyboard(process.stdin, process.stdout);
    this.#interface = createInterface({
      input: this.#keyboard.lines,
      output: process.stdout,
      terminal: true,
      history: [...history.lines],
      historySize: mostLines,
      removeHistoryDuplicates: true,
      completer: complete,
      prompt: this.#depth > 1 ? "\u001B[1m>\u001B[0m " : "> ",
    });
    this.#interface.on("SIGINT", this.#onInterrupt);
    for (const name of signals) process.on(name, this.#onSignal);
  }

  get interrupted(): boolean {
    return this.#interrupted;
  }

  get lines(): AsyncIterable<string> {
    return this.#sent();
  }

  async *#sent(): AsyncGenerator<string> {
    for await (const line of this.#interface) {
      this.#asked = undefined;
      if (line.trim() !== "") await this.#history.add(line);
      yield line.replaceAll(pastedBreak, "\n");
    }
    if (!this.#interrupted) process.stdout.write("\n");
  }

  prompt(): void {
    this.#interface.prompt();
  }

  async during<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const answering = new AbortController();
    this.#answering = answering;
    const release = this.#keyboard.hold(this.#onInterrupt);
    process.stdout.write("\u001B[?25l");
    try {
      return await work(answering.signal);
    } finally {
      process.stdout.write("\u001B[?25h");
      this.#answering = undefined;
      release();
    }
  }

  view(markdown: boolean): AnswerView {
    if (!markdown || this.#options.plain) return createPlainView(process.stdout);
    return createMarkdownView(process.stdout, { colour: this.#depth > 1 });
  }

  async preview(pixels: Pixels): Promise<void> {
    const { columns, rows } = process.stdout;
    const { kind, cell } = await (this.#graphics ??= this.#ask());
    const room = { columns: Math.min(40, columns - 2), rows: Math.min(12, rows - 6) };
    process.stdout.write(await previewOf(pixels, { kind, cell, ...room, depth: this.#depth }));
  }

  note(text: string): void {
    log(this.#depth > 1 ? text.replaceAll(/^.+$/gm, "\u001B[2m$&\u001B[0m") : text);
  }

  close(): void {
    this.#interface.close();
    this.#keyboard.close();
    for (const name of signals) process.off(name, this.#onSignal);
  }

  async #ask(): Promise<TerminalGraphics> {
    const { preview, plain } = this.#options;
    const asked = !plain && preview !== "none" && preview !== "blocks" && canBeAsked(process.env);
    const reply = asked ? await this.#keyboard.ask(graphicsQuestions, replyMs) : "";
    const known = graphicsOf(reply, process.env, this.#depth);
    return { ...known, kind: preview ?? (plain ? "none" : known.kind) };
  }

  readonly #onInterrupt = (): void => {
    const now = performance.now();
    if (this.#asked !== undefined && now - this.#asked < echoMs) return;
    const again = this.#asked !== undefined && this.#interface.line === "";
    this.#asked = now;
    if (again) return this.#leave();
    if (this.#answering) return this.#answering.abort();
    // what was typed goes, as in a shell
    this.#interface.write(null, { ctrl: true, name: "e" });
    this.#interface.write(null, { ctrl: true, name: "u" });
    process.stdout.write("\n");
    this.note("Ctrl-C again, /exit or Ctrl-D leaves.");
    this.prompt();
  };

  readonly #onSignal = (name: NodeJS.Signals): void => {
    if (name === "SIGINT") this.#onInterrupt();
    else this.#leave();
  };

  #leave(): void {
    this.#interrupted = true;
    process.stdout.write("\n");
    if (!this.#answering) return this.#interface.close();
    // a step of a large model can take a while, and nothing of it will be wanted
    process.stdout.write("\u001B[?25h");
    this.#interface.close();
    this.#keyboard.close();
    process.exit(130);
  }
}
