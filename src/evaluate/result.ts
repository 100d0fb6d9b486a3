// A score as it is printed and kept: figures, their intervals, and what they were made of.
import type { RunRecord } from "./record.ts";
import { type Bootstrap, differenceOf, intervalsOf, type Intervals, scoreOf, tallied } from "./score.ts";
import type { Answered, Score, Task } from "./task.ts";
import { listed, refused } from "../data/untrusted.ts";

export type Result = Score & {
  readonly task: string;
  /** 95 %, by figure and kind */
  readonly intervals: Intervals;
  readonly bootstrap: Bootstrap;
  /** questions without an answer; they count as wrong */
  readonly unanswered?: number;
  readonly run?: RunRecord;
};

export interface ResultOptions {
  readonly unanswered?: number;
  readonly run?: RunRecord | undefined;
}

export function resultOf(task: Task, answered: readonly Answered[], options: ResultOptions = {}): Result {
  const { unanswered = 0, run } = options;
  return {
    task: task.name,
    ...scoreOf(task, answered),
    ...intervalsOf(tallied(task, answered)),
    ...(unanswered > 0 && { unanswered }),
    ...(run !== undefined && { run }),
  } as unknown as Result;
}

/** Two runs on the same questions. */
export interface Comparison {
  readonly task: string;
  readonly n: number;
  readonly first: Score;
  readonly second: Score;
  /** second less first, by figure and kind */
  readonly difference: object;
  readonly intervals: Intervals;
  readonly bootstrap: Bootstrap;
  /** questions whose second answer is graded higher, lower, or the same */
  readonly better: number;
  readonly worse: number;
  readonly same: number;
}

/** Pairs answers to the same questions. Throws `COMPARE_QUESTIONS` where the questions or their right answers differ. */
export function compareAnswers(task: Task, first: readonly Answered[], second: readonly Answered[]): Comparison {
  const ids = new Map(second.map((each) => [each.question.id, each]));
  const differing = first.filter(({ question }) => ids.get(question.id)?.question.label !== question.label);
  if (differing.length > 0 || ids.size !== first.length) {
    const named = differing.length > 0 ? `other ones: ${listed(differing.map(({ question }) => question.id))}` : "more";
    throw refused("COMPARE_QUESTIONS", "answers to the same questions", named, "the second file");
  }
  // a blind run showed other pictures: units are the first's
  const paired = first.map(({ question }) => ({ question, answer: ids.get(question.id)!.answer }));
  const [before, after] = [first.map(task.grade), paired.map(task.grade)];
  const count = (is: (change: number) => boolean): number => after.filter((grade, i) => is(grade - before[i]!)).length;
  return {
    task: task.name,
    n: first.length,
    first: scoreOf(task, first),
    second: scoreOf(task, paired),
    ...differenceOf(tallied(task, first), tallied(task, paired)),
    better: count((change) => change > 1e-9),
    worse: count((change) => change < -1e-9),
    same: count((change) => Math.abs(change) <= 1e-9),
  };
}
