// The interactive chat: a prompt, streamed answers, commands; Ctrl-C stops the answer and not the program.
import { createInterface, type Interface } from "node:readline";
import { InputError, LlavaError } from "../errors.ts";
import type { AnswerOptions, Assistant, Picture } from "../generate/assistant.ts";
import type { Chat } from "../generate/chat.ts";
import { readChatPicture } from "../generate/node.ts";
import { describeFailure } from "./failure.ts";
import { print, printJson } from "./output.ts";
import { log } from "./progress.ts";
import { splitWords } from "./words.ts";

export interface Conversation {
  readonly session: Chat;
  readonly assistant: Assistant;
  /** shown with the first question */
  readonly pictures: readonly Picture[];
  readonly sampling: AnswerOptions;
  readonly json: boolean;
}

const help = `Ask anything; each answer knows what was said before.
  /image PATH …  show pictures with the next question
  /clear         forget the conversation
  /help          this list
  /exit          leave (also Ctrl-D)
Ctrl-C stops an answer.`;

/** Reads questions from stdin until it ends, and answers them. */
export async function converse(conversation: Conversation): Promise<void> {
  const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const lines = createInterface({ input: process.stdin, terminal, ...(terminal && { output: process.stdout }) });
  const talk = new Talk(conversation, lines, terminal);
  if (terminal) log(`${greeting(conversation.assistant)} /help shows what else there is.`);
  try {
    await talk.run();
  } finally {
    lines.close();
    process.off("SIGINT", talk.onInterrupt);
  }
}

function greeting({ sight }: Assistant): string {
  return sight ? "Ask about pictures (/image PATH) or anything else." : "Ask anything; this model takes no pictures.";
}

class Talk {
  readonly #conversation: Conversation;
  readonly #lines: Interface;
  readonly #terminal: boolean;
  #pictures: readonly Picture[];
  #answering: AbortController | undefined;
  /** when the last Ctrl-C came, while nothing has been typed since */
  #asked: number | undefined;

  constructor(conversation: Conversation, lines: Interface, terminal: boolean) {
    this.#conversation = conversation;
    this.#lines = lines;
    this.#terminal = terminal;
    this.#pictures = conversation.pictures;
    // at the prompt the terminal is read key by key and tells the reader of lines; during an answer it sends a signal
    lines.on("SIGINT", this.onInterrupt);
    process.on("SIGINT", this.onInterrupt);
  }

  async run(): Promise<void> {
    this.#showPictures();
    this.#prompt();
    for await (const line of this.#lines) {
      this.#asked = undefined;
      if (!(await this.#take(line.trim()))) return;
      this.#prompt();
    }
    if (this.#terminal) print("");
  }

  readonly onInterrupt = (): void => {
    if (this.#answering) return this.#answering.abort();
    const now = performance.now();
    // npm passes a Ctrl-C on to its child, which has it from the terminal already
    if (this.#asked !== undefined && now - this.#asked < 300) return;
    if (this.#asked !== undefined || !this.#terminal) return this.#lines.close();
    this.#asked = now;
    // what was typed goes, as in a shell
    this.#lines.write(null, { ctrl: true, name: "e" });
    this.#lines.write(null, { ctrl: true, name: "u" });
    process.stdout.write("\n");
    log("Ctrl-C again, /exit or Ctrl-D leaves.");
    this.#prompt();
  };

  #prompt(): void {
    if (!this.#terminal) return;
    this.#lines.setPrompt("> ");
    this.#lines.prompt();
  }

  /** Handles one line; false ends the conversation. */
  async #take(line: string): Promise<boolean> {
    if (line === "") return true;
    try {
      if (line.startsWith("/")) return await this.#command(line);
      await this.#answer(line);
    } catch (error) {
      // a wrong path or a question that is too long: the chat goes on
      if (!(error instanceof LlavaError) || error.code.startsWith("ENGINE_")) throw error;
      log(describeFailure(error) ?? error.message);
    }
    return true;
  }

  async #command(line: string): Promise<boolean> {
    const [name, ...words] = splitWords(line);
    if (name === "/exit" || name === "/quit") return false;
    if (name === "/help") log(help);
    else if (name === "/image") await this.#addPictures(words);
    else if (name === "/clear") {
      this.#conversation.session.clear();
      this.#pictures = [];
      log("Forgotten.");
    } else log(`No command ${name}; /help shows what there is.`);
    return true;
  }

  async #addPictures(paths: readonly string[]): Promise<void> {
    if (paths.length === 0) return log("Name a picture: /image PATH");
    if (this.#conversation.assistant.sight === undefined) {
      const expected = "a model with a vision tower";
      throw new InputError("MODEL_TEXT_ONLY", { expected, got: "a bare language model, which takes no pictures" });
    }
    this.#pictures = [...this.#pictures, ...(await Promise.all(paths.map(readChatPicture)))];
    this.#showPictures();
  }

  #showPictures(): void {
    const sizes = this.#pictures.map(({ pixels }) => `${pixels.width}×${pixels.height}`);
    if (sizes.length > 0)
      log(
        `With the next question: ${sizes.length === 1 ? "a picture" : `${sizes.length} pictures`}, ${sizes.join(", ")}.`,
      );
  }

  async #answer(question: string): Promise<void> {
    const { session, sampling, json } = this.#conversation;
    this.#answering = new AbortController();
    this.#release(true);
    try {
      const { signal } = this.#answering;
      const onText = json ? undefined : (text: string): void => void process.stdout.write(text);
      const answer = await session.ask(question, this.#pictures, { ...sampling, signal, onText });
      this.#pictures = [];
      if (json) printJson(answer);
      else print("");
      if (answer.finish_reason === "interrupted") log("(stopped)");
      else if (answer.finish_reason === "length") log(`(cut after ${answer.completion_tokens} tokens)`);
    } finally {
      this.#answering = undefined;
      this.#release(false);
    }
  }

  /** During an answer the terminal is its own: Ctrl-C is a signal, keys wait. */
  #release(released: boolean): void {
    if (!this.#terminal) return;
    if (released) this.#lines.pause();
    process.stdin.setRawMode(!released);
    if (!released) this.#lines.resume();
  }
}
