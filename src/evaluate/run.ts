// Asks a task's questions: many at once, those about one picture side by side, so that they share what they can.
import { checkPictures } from "../data/check-pictures.ts";
import { pictureFile } from "../data/picture-path.ts";
import { Problems } from "../data/problems.ts";
import { InputError } from "../errors.ts";
import { answerTurns, type Assistant, type Picture } from "../generate/assistant.ts";
import { readChatPicture } from "../generate/node.ts";
import { blinded } from "./blind.ts";
import type { Answered, Question, Score, Task } from "./task.ts";

export interface TaskSource<S extends Score> {
  readonly task: Task<S>;
  readonly questionsPath: string;
  readonly imagesDir: string;
  /** ask about another picture instead */
  readonly blind?: boolean;
  /** decides which one */
  readonly seed?: number;
  /** ask the first questions only */
  readonly limit?: number;
}

export interface AskOptions {
  readonly assistant: Assistant;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number; readonly correct: number }) => void;
  /** ends the run, which rejects with the signal's reason */
  readonly signal?: AbortSignal;
}

export type RunOptions<S extends Score> = TaskSource<S> & AskOptions;

export interface TaskResult<S extends Score> {
  readonly score: S;
  /** in the order of the file */
  readonly answered: readonly Answered[];
}

/** Questions under way together: more share each step, but all look at the same cache. */
const together = 16;

export interface OpenedTask<S extends Score> {
  /** as they will be asked */
  readonly questions: readonly Question[];
  /** Asks all greedily and scores the answers; may be called again. Throws as `answerTurns`. */
  run(options: AskOptions): Promise<TaskResult<S>>;
}

/**
 * Reads and checks questions and pictures; nothing is asked yet.
 * Throws what the task's reader throws, `QUESTIONS_EMPTY`, `IMAGES_FOLDER`, `PICTURE_…`, `BLIND_PICTURES`.
 */
export async function openTask<S extends Score>(source: TaskSource<S>): Promise<OpenedTask<S>> {
  const { task, imagesDir, blind, seed = 0 } = source;
  const read = await readQuestions(source);
  const named = new Map(read.toReversed().flatMap(({ images, where }) => images.map((image) => [image, where])));
  const problems = new Problems();
  await checkPictures(imagesDir, named, problems);
  problems.refuse(source.questionsPath);
  const questions = blind ? blinded(read, seed) : read;
  return {
    questions,
    run: async (options) => {
      const answers = await ask(questions, source, options);
      const answered = questions.map((question, i): Answered => ({ question, answer: answers[i]! }));
      return { score: task.score(answered), answered };
    },
  };
}

/** Opens a task and asks it. */
export async function runTask<S extends Score>(options: RunOptions<S>): Promise<TaskResult<S>> {
  return (await openTask(options)).run(options);
}

async function readQuestions<S extends Score>({
  task,
  questionsPath,
  limit = Infinity,
}: TaskSource<S>): Promise<Question[]> {
  const questions: Question[] = [];
  for await (const question of task.questions(questionsPath)) {
    if (questions.length >= limit) break;
    questions.push(question);
  }
  if (questions.length > 0) return questions;
  throw new InputError("QUESTIONS_EMPTY", { expected: "at least one question", got: "none", where: questionsPath });
}

/** Answers by the questions' places; asked in the order of their pictures. */
async function ask<S extends Score>(
  questions: readonly Question[],
  { task, imagesDir }: TaskSource<S>,
  { assistant, onProgress, signal }: AskOptions,
): Promise<string[]> {
  const order = inPictureOrder(questions);
  const pictures = pictureShelf(imagesDir);
  const answers: string[] = [];
  const { maxNewTokens, stopTexts = [] } = task;
  let [next, done, correct] = [0, 0, 0];
  const lane = async (): Promise<void> => {
    while (next < order.length) {
      const place = order[next++]!;
      const question = questions[place]!;
      const shown = await Promise.all(question.images.map(pictures));
      const { text } = await answerTurns(assistant, [question.turn], shown, { maxNewTokens, stopTexts, signal });
      signal?.throwIfAborted();
      answers[place] = text;
      done++;
      if (task.isCorrect({ question, answer: text })) correct++;
      onProgress?.({ done, total: questions.length, correct });
    }
  };
  await Promise.all(Array.from({ length: together }, lane));
  return answers;
}

function inPictureOrder(questions: readonly Question[]): number[] {
  const first = new Map<string, number>();
  const keys = questions.map(({ images }) => images.join("\n"));
  for (const [place, key] of keys.entries()) if (!first.has(key)) first.set(key, place);
  return [...questions.keys()].sort((a, b) => first.get(keys[a]!)! - first.get(keys[b]!)! || a - b);
}

/** Reads pictures, keeping the last few: the questions about one follow each other. */
function pictureShelf(imagesDir: string): (image: string) => Promise<Picture> {
  const shelf = new Map<string, Promise<Picture>>();
  return (image) => {
    const picture = shelf.get(image) ?? readChatPicture(pictureFile(imagesDir, image));
    shelf.set(image, picture);
    if (shelf.size > together) shelf.delete(shelf.keys().next().value!);
    return picture;
  };
}
