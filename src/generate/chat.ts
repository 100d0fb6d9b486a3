// A chat: the turns so far, their pictures, and the next answer.
import { type ChatTurn, textTurn } from "../text/conversation.ts";
import { type Answer, type AnswerOptions, answerTurns, type Assistant, type Picture, userTurn } from "./assistant.ts";

export interface Chat {
  /** without the system message */
  readonly turns: readonly ChatTurn[];
  /**
   * Asks and remembers both question and answer, an interrupted one as far as it came.
   * A question that fails is forgotten. Throws as `answerTurns`.
   */
  ask(text: string, pictures: readonly Picture[], options?: AnswerOptions): Promise<Answer>;
  /** Forgets all turns and pictures. */
  clear(): void;
}

/** Starts a chat; `system` replaces the template's own system message. */
export function createChat(assistant: Assistant, system?: string): Chat {
  const before = system === undefined ? [] : [textTurn("system", system)];
  let turns: readonly ChatTurn[] = [];
  let shown: readonly Picture[] = [];
  return {
    get turns() {
      return turns;
    },
    async ask(text, pictures, options = {}) {
      const asked = [...turns, userTurn(text, pictures.length)];
      const all = [...shown, ...pictures];
      const answer = await answerTurns(assistant, [...before, ...asked], all, options);
      turns = [...asked, textTurn("assistant", answer.text)];
      shown = all;
      return answer;
    },
    clear() {
      turns = [];
      shown = [];
    },
  };
}
