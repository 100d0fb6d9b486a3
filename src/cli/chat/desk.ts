// Where a chat takes place: lines come in, answers, pictures and notes go out. Here, the desk of a pipe.
import { createInterface } from "node:readline";
import type { Pixels } from "../../image/pixels.ts";
import { interruptible } from "../interrupt.ts";
import { log } from "../progress.ts";
import { type AnswerView, createPlainView } from "./answer-view.ts";

export interface Desk {
  /** someone sits at it */
  readonly interactive: boolean;
  readonly lines: AsyncIterable<string>;
  /** Asks for the next line. */
  prompt(): void;
  /** Work that Ctrl-C stops by the signal. */
  during<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** For one answer; `markdown`: it may be shown as that. */
  view(markdown: boolean): AnswerView;
  preview(pixels: Pixels): Promise<void>;
  /** Says something that is no answer. */
  note(text: string): void;
  /** left by Ctrl-C */
  readonly interrupted: boolean;
  close(): void;
}

/** Questions from a pipe or a file: plain answers, and Ctrl-C ends it all. */
export function openPipe(): Desk {
  const lines = createInterface({ input: process.stdin, terminal: false });
  let interrupted = false;
  return {
    interactive: false,
    lines,
    prompt: () => undefined,
    during: (work) =>
      interruptible(async (signal) => {
        signal.addEventListener("abort", () => {
          interrupted = true;
          lines.close();
        });
        return work(signal);
      }),
    view: () => createPlainView(process.stdout),
    preview: async () => undefined,
    note: log,
    get interrupted() {
      return interrupted;
    },
    close: () => lines.close(),
  };
}
