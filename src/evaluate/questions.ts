// The questions of one or several files, each with an id of its own.
import { refused } from "../data/untrusted.ts";
import { numbering } from "./answers.ts";
import type { Question, Task } from "./task.ts";

/** Reads them in order, at most `limit`. Throws what the task's reader throws, and `QUESTIONS_EMPTY`. */
export async function readQuestions(
  task: Task,
  paths: string | readonly string[],
  limit = Infinity,
): Promise<Question[]> {
  const number = numbering();
  const questions: Question[] = [];
  for (const path of [paths].flat()) {
    for await (const question of task.questions(path)) {
      if (questions.length >= limit) break;
      questions.push({ ...question, id: number(question.id) });
    }
  }
  if (questions.length > 0) return questions;
  throw refused("QUESTIONS_EMPTY", "at least one question", "none", [paths].flat().join(", "));
}
