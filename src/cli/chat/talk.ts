// A conversation: lines are questions, pictures or commands; what goes wrong with one of them does not end it.
import { InputError } from "../../errors.ts";
import type { Answer, AnswerOptions, Assistant, Picture } from "../../generate/assistant.ts";
import type { Chat } from "../../generate/chat.ts";
import { describeFailure } from "../failure.ts";
import { harmless } from "../harmless.ts";
import { printJson } from "../output.ts";
import { splitWords } from "../words.ts";
import { commandOf } from "./command-names.ts";
import { runCommand } from "./commands.ts";
import type { Desk } from "./desk.ts";
import { takePictures } from "./paths.ts";
import { type AnswerStats, showStats, startClock } from "./stats.ts";
import { isOfQuestion } from "./question-error.ts";
import { answerOptions, type ChatSettings } from "./settings.ts";

export interface TalkOptions {
  /** the model's folder */
  readonly model: string;
  readonly assistant: Assistant;
  readonly session: Chat;
  readonly settings: ChatSettings;
  /** shown with the first question */
  readonly pictures: readonly Picture[];
  readonly readPicture: (path: string) => Promise<Picture>;
  /** answers are printed as JSON */
  readonly json: boolean;
}

export class Talk {
  readonly model: string;
  readonly assistant: Assistant;
  readonly session: Chat;
  readonly readPicture: TalkOptions["readPicture"];
  settings: ChatSettings;
  /** of the last answer */
  stats: AnswerStats | undefined;
  /** the file that this conversation was saved to or loaded from */
  file: string | undefined;
  readonly #desk: Desk;
  readonly #json: boolean;
  #pictures: readonly Picture[];
  #retries = 0;

  constructor(options: TalkOptions, desk: Desk) {
    ({ model: this.model, assistant: this.assistant, session: this.session, settings: this.settings } = options);
    this.readPicture = options.readPicture;
    this.#pictures = options.pictures;
    this.#json = options.json;
    this.#desk = desk;
  }

  /** Takes lines until they end, or one says so. Throws what ends a chat: a failing engine, an interruption. */
  async run(): Promise<void> {
    if (this.#desk.interactive) {
      const pictures = "Ask anything, or show a picture: drop a file, type its path.";
      const words = "Ask anything; this model takes no pictures.";
      this.note(`${this.assistant.sight ? pictures : words} /help says more.`);
    }
    await this.#showPictures(this.#pictures);
    this.#desk.prompt();
    for await (const line of this.#desk.lines) {
      if (!(await this.#take(line.trim()))) return;
      this.#desk.prompt();
    }
  }

  note(text: string): void {
    // paths, names and what was loaded from files may hold anything
    this.#desk.note(harmless(text));
  }

  /** Pictures for the next question, which is `asked` with them or still to come. Throws `MODEL_TEXT_ONLY`, `PICTURE_…`. */
  async addPictures(paths: readonly string[], asked = false): Promise<void> {
    if (this.assistant.sight === undefined) {
      const expected = "a model with a vision tower";
      throw new InputError("MODEL_TEXT_ONLY", { expected, got: "a bare language model, which takes no pictures" });
    }
    const added = await Promise.all(paths.map(this.readPicture));
    this.#pictures = [...this.#pictures, ...added];
    await this.#showPictures(added, asked);
  }

  /** Forgets what was shown for the next question. */
  dropPictures(): void {
    this.#pictures = [];
  }

  /** Asks the last question anew; each time with another seed. */
  async retry(): Promise<void> {
    if (this.session.exchanges.length === 0) return this.note("Nothing was asked yet.");
    this.#retries++;
    await this.#answer((options) => this.session.retry({ ...options, seed: (options.seed ?? 0) + this.#retries })!);
    if (!this.settings.sampling.temperature)
      this.note("(temperature is 0, so the same answer comes each time: /set temperature 0.7)");
  }

  /** Handles one line; false ends the conversation. */
  async #take(line: string): Promise<boolean> {
    if (line === "") return true;
    try {
      const command = commandOf(line);
      if (command !== undefined) {
        const words = splitWords(line).slice(1);
        return await runCommand(this, command, { words, text: line.slice(command.length).trim() });
      }
      const { pictures, text } = takePictures(line);
      if (pictures.length > 0) await this.addPictures(pictures, text !== "");
      else if (/^\/[a-z]+$/.test(line.split(/\s/, 1)[0]!)) {
        this.note(`No command ${line.split(/\s/, 1)[0]}; /help shows what there is.`);
        return true;
      }
      if (text !== "") await this.#ask(text);
    } catch (error) {
      // a wrong path or a question that is too long: the chat goes on
      if (!isOfQuestion(error)) throw error;
      this.note(describeFailure(error)!);
    }
    return true;
  }

  async #ask(question: string): Promise<void> {
    this.#retries = 0;
    await this.#answer((options) => this.session.ask(question, this.#pictures, options));
    this.#pictures = [];
  }

  async #answer(ask: (options: AnswerOptions) => Promise<Answer>): Promise<void> {
    const { settings } = this;
    const options = answerOptions(settings, this.assistant.tokenizer);
    const view = this.#json ? undefined : this.#desk.view(settings.schema === undefined);
    const clock = startClock();
    let answer: Answer;
    try {
      answer = await this.#desk.during((signal) =>
        ask({ ...options, signal, onChoice: clock.tick, onText: (text) => view?.push(text) }),
      );
    } finally {
      view?.end();
    }
    if (this.#json) printJson(answer);
    this.stats = clock.stop(answer);
    if (answer.finish_reason === "interrupted") this.note("(stopped)");
    else if (answer.finish_reason === "length") this.note(`(cut after ${answer.completion_tokens} tokens)`);
    else if (answer.text === "") this.note("(it said nothing)");
    if (settings.stats) this.note(`(${showStats(this.stats)})`);
  }

  async #showPictures(pictures: readonly Picture[], asked = false): Promise<void> {
    for (const { pixels } of pictures) await this.#desk.preview(pixels);
    const all = this.#pictures.map(({ pixels }) => `${pixels.width}×${pixels.height}`);
    if (all.length === 0 || asked) return;
    this.note(
      `With the next question: ${all.length === 1 ? "a picture" : `${all.length} pictures`}, ${all.join(", ")}.`,
    );
  }
}
