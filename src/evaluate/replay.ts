// Scores answers that were given before, by this program or another: answers meet their questions by id.
import { listed, refused } from "../data/untrusted.ts";
import { type ReadAnswer, questionsWithin, readAnswers } from "./answers.ts";
import { readQuestions } from "./questions.ts";
import type { Answered, Question, Task } from "./task.ts";

export interface Replay {
  /** in the order of the questions; those without an answer have an empty one */
  readonly answered: readonly Answered[];
  /** questions that have none */
  readonly unanswered: number;
}

/**
 * Reads answers and their questions, which lines of our own files hold themselves.
 * Throws as `readAnswers` and the task's reader, `ANSWERS_QUESTIONS`, and `ANSWERS_UNKNOWN` for answers to no question.
 */
export async function replayAnswers(
  task: Task,
  answersPath: string,
  questionsPath?: string | readonly string[],
): Promise<Replay> {
  const answers = await readAnswers(answersPath);
  if (questionsPath === undefined) {
    const questions = questionsWithin(answers);
    return { answered: questions.map((question, i) => ({ question, answer: answers[i]!.answer })), unanswered: 0 };
  }
  const questions = await readQuestions(task, questionsPath);
  const found = meet(task, questions, answers, answersPath);
  const answered = questions.map((question) => ({ question, answer: found.get(question) ?? "" }));
  return { answered, unanswered: questions.length - found.size };
}

function meet(
  task: Task,
  questions: readonly Question[],
  answers: readonly ReadAnswer[],
  path: string,
): Map<Question, string> {
  const byId = new Map(questions.map((question) => [question.id, question]));
  const byForeign = new Map(
    questions.flatMap((each) => (each.foreignId === undefined ? [] : [[each.foreignId, each] as const])),
  );
  const found = new Map<Question, string>();
  const unknown: string[] = [];
  for (const { id, answer, line } of answers) {
    const foreign = task.foreignId?.(line);
    const question = (foreign === undefined ? undefined : byForeign.get(foreign)) ?? byId.get(id);
    if (question === undefined || found.has(question)) unknown.push(id);
    else found.set(question, answer);
  }
  if (unknown.length === 0) return found;
  const got = `${unknown.length} to others, or second ones: ${listed(unknown)}`;
  throw refused("ANSWERS_UNKNOWN", "one answer a question", got, path, "name the questions that were asked");
}
