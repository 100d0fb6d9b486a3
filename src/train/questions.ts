// A recipe's questions, opened by a caller that knows tasks: training itself knows none.
import type { Assistant } from "../generate/assistant.ts";
import type { PictureSource } from "./features.ts";
import type { QuestionScore } from "./metrics.ts";
import type { QuestionsRecipe } from "./recipe.ts";

export interface AskOptions {
  /** the model as it is at this moment */
  readonly assistant: Assistant;
  readonly onProgress: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface Questions {
  /** the pictures that they are about */
  readonly pictures: readonly PictureSource[];
  /** changes with anything that is asked */
  readonly hash: string;
  /** Asks all and scores the answers; rejects with the signal's reason. */
  ask(options: AskOptions): Promise<QuestionScore>;
}

/** Reads and checks a file of questions; throws what is wrong with it. */
export type OpenQuestions = (recipe: QuestionsRecipe) => Promise<Questions>;
