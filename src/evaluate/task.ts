// What a task is: how its questions are read, asked and scored. One file each below tasks/.
import type { ChatTurn } from "../text/conversation.ts";

/** One question about pictures, asked on its own. */
export interface Question {
  readonly id: string;
  /** relative to the images folder, "/"-separated; in the order of the turn's image parts */
  readonly images: readonly string[];
  readonly turn: ChatTurn;
  /** the right answer */
  readonly label: string;
  /** the kind it is counted under, for tasks that tell kinds apart */
  readonly kind?: string;
  /** where it stands: "questions.jsonl:12" */
  readonly where: string;
}

/** A question with the model's answer. */
export interface Answered {
  readonly question: Question;
  readonly answer: string;
}

/** Figures as `--json` prints them; `n` is the number of questions, shares are from 0 to 1. */
export interface Score {
  readonly n: number;
  readonly accuracy: number;
}

export interface Task<S extends Score = Score> {
  readonly name: string;
  /** Reads a question file one by one. Throws InputErrors that name file and line. */
  readonly questions: (path: string) => AsyncIterable<Question>;
  readonly maxNewTokens: number;
  /** texts after which nothing matters any more */
  readonly stopTexts?: readonly string[];
  readonly isCorrect: (answered: Answered) => boolean;
  readonly score: (answered: readonly Answered[]) => S;
}
