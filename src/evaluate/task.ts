// What a task is: how its questions are read, asked and graded. One file each below tasks/.
import type { PackedPicture } from "../data/sources/shards.ts";
import type { ChatTurn } from "../text/conversation.ts";

/** One question about pictures, asked on its own. */
export interface Question {
  /** unique in its file: one that stands there again gets "#2", "#3", … */
  readonly id: string;
  /** relative to the images folder, "/"-separated; in the order of the turn's image parts */
  readonly images: readonly string[];
  readonly turn: ChatTurn;
  /** the right answer */
  readonly label: string;
  /** what several people answered, or wrote about the picture */
  readonly labels?: readonly string[];
  /** the options' texts in the order of their letters */
  readonly options?: readonly string[];
  /** the kinds it is counted under, for tasks that tell kinds apart */
  readonly kinds?: readonly string[];
  /** questions that are right together or not at all share one */
  readonly group?: string;
  /** what other programs' answers know it by, where that is not its id */
  readonly foreignId?: string;
  /** where it stands: "questions.jsonl:12" */
  readonly where: string;
}

/** A question with the model's answer. */
export interface Answered {
  readonly question: Question;
  readonly answer: string;
}

/** What one answer adds to the sums that figures are made of. */
export type Sums = Readonly<Record<string, number>>;

/** Figures as `--json` prints them; `n` is the number of questions, shares are from 0 to 1. */
export type Score<F extends string = string> = {
  readonly n: number;
  /** the same of each kind, where questions name kinds */
  readonly kinds?: Readonly<Record<string, Score<F>>>;
} & { readonly [K in F as string extends K ? never : K]: number };

export interface Task<F extends string = string> {
  readonly name: string;
  /** what its question files are, for the help */
  readonly files: string;
  /** Reads a question file one by one. Throws InputErrors that name file and line. */
  readonly questions: (path: string) => AsyncIterable<Question>;
  /** pictures that question files hold: put into the images folder first */
  readonly pictures?: (path: string) => AsyncIterable<PackedPicture>;
  readonly maxNewTokens: number;
  /** texts after which nothing matters any more */
  readonly stopTexts?: readonly string[];
  /** how right an answer is, from 0 to 1 */
  readonly grade: (answered: Answered) => number;
  /** what each answer adds to the sums; by place */
  readonly tally: (answered: readonly Answered[]) => readonly Sums[];
  /** the figures of any sums of `tally` */
  readonly figures: (sums: Sums) => Readonly<Record<F, number>>;
  /** figures that are no shares of one, hence not shown in percent */
  readonly points?: readonly string[];
  /** the share that training goes by, where it is not `accuracy` */
  readonly compared?: F;
  /** nothing is generated: the answer is the letter of the option that the model holds likeliest */
  readonly ranked?: true;
  /** graded by a judge afterwards: `grade` says nothing */
  readonly judged?: true;
  /** a line of another program's answers → the `foreignId` of its question */
  readonly foreignId?: (line: Readonly<Record<string, unknown>>) => string | undefined;
}

/** A share; 0 where there is nothing to divide by. */
export function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/** `tally` and `figures` of a task whose one figure is the mean grade. */
export function meanGrade(grade: Task["grade"]): Pick<Task<"accuracy">, "grade" | "tally" | "figures"> {
  return {
    grade,
    tally: (answered) => answered.map((each) => ({ n: 1, grade: grade(each) })),
    figures: ({ n = 0, grade: sum = 0 }) => ({ accuracy: share(sum, n) }),
  };
}

/** Answers by the group of their questions, in order. */
export function groupsOf(answered: readonly Answered[]): ReadonlyMap<string | undefined, readonly Answered[]> {
  const groups = new Map<string | undefined, Answered[]>();
  for (const each of answered) {
    const group = groups.get(each.question.group);
    if (group === undefined) groups.set(each.question.group, [each]);
    else group.push(each);
  }
  return groups;
}
