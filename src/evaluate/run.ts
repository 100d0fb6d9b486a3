// Asks a task's questions: many at once, those about one picture side by side, so that they share what they can.
import { checkPictures } from "../data/check-pictures.ts";
import { pictureFile } from "../data/picture-path.ts";
import { Problems } from "../data/problems.ts";
import { InputError } from "../errors.ts";
import { answerTurns, type Assistant, type Picture } from "../generate/assistant.ts";
import { readChatPicture } from "../generate/node.ts";
import { blinded } from "./blind.ts";
import type { Answered, Question, Score, Task } from "./task.ts";

export interface RunOptions<S extends Score> {
  readonly assistant: Assistant;
  readonly task: Task<S>;
  readonly questionsPath: string;
  readonly imagesDir: string;
  /** ask about another picture instead */
  readonly blind?: boolean;
  /** decides which one */
  readonly seed?: number;
  /** ask the first questions only */
  readonly limit?: number;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number; readonly correct: number }) => void;
  /** ends the run, which rejects with the signal's reason */
  readonly signal?: AbortSignal;
}

export interface TaskResult<S extends Score> {
  readonly score: S;
  /** in the order of the file */
  readonly answered: readonly Answered[];
}

/** Questions under way together: more share each step, but all look at the same cache. */
const together = 16;

/**
 * Asks greedily and scores. Questions and pictures are checked before the first is asked.
 * Throws what the task's reader throws, `QUESTIONS_EMPTY`, `IMAGES_FOLDER`, `PICTURE_…`, `BLIND_PICTURES`, and as
 * `answerTurns`.
 */
export async function runTask<S extends Score>(options: RunOptions<S>): Promise<TaskResult<S>> {
  const { task, imagesDir, blind, seed = 0 } = options;
  const questions = await readQuestions(options);
  const named = new Map(questions.toReversed().flatMap(({ images, where }) => images.map((image) => [image, where])));
  const problems = new Problems();
  await checkPictures(imagesDir, named, problems);
  problems.refuse(options.questionsPath);
  const asked = blind ? blinded(questions, seed) : questions;
  const answers = await ask(asked, options);
  const answered = questions.map((_, i): Answered => ({ question: asked[i]!, answer: answers[i]! }));
  return { score: task.score(answered), answered };
}

async function readQuestions<S extends Score>({
  task,
  questionsPath,
  limit = Infinity,
}: RunOptions<S>): Promise<Question[]> {
  const questions: Question[] = [];
  for await (const question of task.questions(questionsPath)) {
    if (questions.length >= limit) break;
    questions.push(question);
  }
  if (questions.length > 0) return questions;
  throw new InputError("QUESTIONS_EMPTY", { expected: "at least one question", got: "none", where: questionsPath });
}

/** Answers by the questions' places; asked in the order of their pictures. */
async function ask<S extends Score>(questions: readonly Question[], options: RunOptions<S>): Promise<string[]> {
  const { assistant, task, imagesDir, onProgress, signal } = options;
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
