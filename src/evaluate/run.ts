// Asks a task's questions: many at once, those about one picture side by side, so that they share what they can.
import { checkPictures } from "../data/check-pictures.ts";
import { pictureFile } from "../data/picture-path.ts";
import { Problems } from "../data/problems.ts";
import { answerTurns, type Assistant, type Picture } from "../generate/assistant.ts";
import { answerLikelihoods } from "../generate/likelihood.ts";
import { readChatPicture } from "../generate/node.ts";
import { blinded } from "./blind.ts";
import { letterOf } from "./prompts.ts";
import { readQuestions } from "./questions.ts";
import { scoreOf } from "./score.ts";
import type { Answered, Question, Score, Task } from "./task.ts";

export interface TaskSource<F extends string> {
  readonly task: Task<F>;
  /** one file, or several that make one test */
  readonly questionsPath: string | readonly string[];
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
  /** `right`: the sum of the grades so far */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number; readonly right: number }) => void;
  /** called with each answer as it comes; the next question of its lane waits for it */
  readonly onAnswer?: (answered: Answered) => Promise<void>;
  /** answers that are there already, by the questions' ids: those are not asked again */
  readonly known?: ReadonlyMap<string, string>;
  /** ends the run, which rejects with the signal's reason */
  readonly signal?: AbortSignal;
}

export type RunOptions<F extends string> = TaskSource<F> & AskOptions;

export interface TaskResult<F extends string> {
  readonly score: Score<F>;
  /** in the order of the file */
  readonly answered: readonly Answered[];
}

/** Questions under way together: more share each step, but all look at the same cache. */
const together = 16;

export interface OpenedTask<F extends string> {
  /** as they will be asked */
  readonly questions: readonly Question[];
  /** Asks all greedily and scores the answers; may be called again. Throws as `answerTurns`. */
  run(options: AskOptions): Promise<TaskResult<F>>;
}

/**
 * Reads and checks questions and pictures; nothing is asked yet.
 * Throws what the task's reader throws, `QUESTIONS_EMPTY`, `IMAGES_FOLDER`, `PICTURE_…`, `BLIND_PICTURES`.
 */
export async function openTask<F extends string>(source: TaskSource<F>): Promise<OpenedTask<F>> {
  const { task, imagesDir, blind, seed = 0, questionsPath, limit } = source;
  const read = await readQuestions(task, questionsPath, limit);
  const named = new Map(read.toReversed().flatMap(({ images, where }) => images.map((image) => [image, where])));
  const problems = new Problems();
  await checkPictures(imagesDir, named, problems);
  problems.refuse([questionsPath].flat().join(", "));
  const questions = blind ? blinded(read, seed) : read;
  return {
    questions,
    run: async (options) => {
      const answers = await ask(questions, source, options);
      const answered = questions.map((question, i): Answered => ({ question, answer: answers[i]! }));
      return { score: scoreOf(task, answered), answered };
    },
  };
}

/** Opens a task and asks it. */
export async function runTask<F extends string>(options: RunOptions<F>): Promise<TaskResult<F>> {
  return (await openTask(options)).run(options);
}

/** Answers by the questions' places; asked in the order of their pictures. */
async function ask<F extends string>(
  questions: readonly Question[],
  { task, imagesDir }: TaskSource<F>,
  { assistant, onProgress, onAnswer, known, signal }: AskOptions,
): Promise<string[]> {
  const pictures = pictureShelf(imagesDir);
  const { maxNewTokens, stopTexts = [] } = task;
  const answers = questions.map(({ id }) => known?.get(id));
  const order = inPictureOrder(questions).filter((place) => answers[place] === undefined);
  let [next, done, right] = [0, 0, 0];
  const count = (question: Question, answer: string): void => {
    done++;
    right += task.grade({ question, answer });
    onProgress?.({ done, total: questions.length, right });
  };
  questions.forEach((question, i) => answers[i] !== undefined && count(question, answers[i]));
  const lane = async (): Promise<void> => {
    while (next < order.length) {
      const place = order[next++]!;
      const question = questions[place]!;
      const shown = await Promise.all(question.images.map(pictures));
      const text = task.ranked
        ? await likeliestOption(assistant, question, shown, signal)
        : (await answerTurns(assistant, [question.turn], shown, { maxNewTokens, stopTexts, signal })).text;
      signal?.throwIfAborted();
      answers[place] = text;
      await onAnswer?.({ question, answer: text });
      count(question, text);
    }
  };
  await Promise.all(Array.from({ length: together }, lane));
  return answers as string[];
}

/** The letter of the option whose text the model holds likeliest; the first among equals. */
async function likeliestOption(
  assistant: Assistant,
  { turn, options = [] }: Question,
  pictures: readonly Picture[],
  signal: AbortSignal | undefined,
): Promise<string> {
  const likelihoods = await answerLikelihoods(assistant, [turn], pictures, options, { signal });
  return letterOf(likelihoods.indexOf(Math.max(...likelihoods)));
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
