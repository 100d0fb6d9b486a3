// A chat: what was asked and answered so far, with its pictures, and the next answer.
import { textTurn } from "../text/conversation.ts";
import { type Answer, type AnswerOptions, answerTurns, type Assistant, type Picture, userTurn } from "./assistant.ts";

/** A question, the pictures that were shown with it, and its answer. */
export interface Exchange {
  readonly question: string;
  readonly pictures: readonly Picture[];
  readonly answer: string;
}

export interface Chat {
  /** leads the conversation in place of the template's own system message; counts from the next question on */
  system: string | undefined;
  readonly exchanges: readonly Exchange[];
  /**
   * Asks and remembers both question and answer, an interrupted one as far as it came.
   * A question that fails is forgotten. Throws as `answerTurns`.
   */
  ask(text: string, pictures: readonly Picture[], options?: AnswerOptions): Promise<Answer>;
  /** Asks the last question anew, in place of its answer; undefined when nothing was asked. Throws as `answerTurns`. */
  retry(options?: AnswerOptions): Promise<Answer> | undefined;
  /** Goes on from what was said elsewhere. */
  restore(exchanges: readonly Exchange[]): void;
  /** Forgets all questions, answers and pictures. */
  clear(): void;
}

/** Starts a chat; `system` replaces the template's own system message. */
export function createChat(assistant: Assistant, system?: string): Chat {
  let exchanges: readonly Exchange[] = [];
  const chat: Chat = {
    system,
    get exchanges() {
      return exchanges;
    },
    ask: (question, pictures, options) => askAfter(exchanges, question, pictures, options),
    retry: (options) => {
      const last = exchanges.at(-1);
      return last && askAfter(exchanges.slice(0, -1), last.question, last.pictures, options);
    },
    restore: (known) => {
      exchanges = [...known];
    },
    clear: () => {
      exchanges = [];
    },
  };
  const askAfter = async (
    before: readonly Exchange[],
    question: string,
    pictures: readonly Picture[],
    options?: AnswerOptions,
  ): Promise<Answer> => {
    const said = before.flatMap((each) => [
      userTurn(each.question, each.pictures.length),
      textTurn("assistant", each.answer),
    ]);
    const lead = chat.system === undefined ? [] : [textTurn("system", chat.system)];
    const turns = [...lead, ...said, userTurn(question, pictures.length)];
    const shown = [...before.flatMap((each) => each.pictures), ...pictures];
    const answer = await answerTurns(assistant, turns, shown, options);
    exchanges = [...before, { question, pictures, answer: answer.text }];
    return answer;
  };
  return chat;
}
