// What verdicts come to: the candidate's points relative to the reference's, failures apart, orders and repeats compared.
import { type Bootstrap, intervalsOf, type Intervals, type Tallied, totalOf } from "../score.ts";
import { share, type Score } from "../task.ts";
import type { Verdict } from "./verdict.ts";

/** `relative`: 100 × candidate / reference; both of them as points of 100. */
type Figure = "relative" | "reference" | "candidate";

export interface JudgeScore {
  readonly task: "judge";
  /** questions with at least one judgement */
  readonly n: number;
  readonly relative: number;
  readonly reference: number;
  readonly candidate: number;
  readonly kinds?: Readonly<Record<string, Score<Figure>>>;
  readonly intervals: Intervals;
  readonly bootstrap: Bootstrap;
  readonly judgements: number;
  /** by reason; none of them is in any mean */
  readonly failed: Readonly<Record<string, number>>;
  /** questions without a single judgement */
  readonly unjudged: readonly string[];
  /** `relative` by which answer stood first: how far the judge favours a place */
  readonly orders: Readonly<Record<string, number>>;
  /** `relative` of each repeat, with the spread between them */
  readonly repeats: readonly number[];
  readonly spread?: { readonly mean: number; readonly deviation: number };
}

export function scoreVerdicts(verdicts: readonly Verdict[]): JudgeScore {
  const valid = verdicts.filter(({ scores }) => scores !== undefined);
  const table = tableOf(valid);
  const failed: Record<string, number> = {};
  for (const { failure } of verdicts) if (failure !== undefined) failed[failure] = (failed[failure] ?? 0) + 1;
  const judged = new Set(valid.map(({ question_id }) => question_id));
  const ids = [...new Set(verdicts.map(({ question_id }) => question_id))];
  const repeats = byValue(valid, ({ repeat }) => repeat).map(([, some]) => relativeOf(some));
  return {
    task: "judge",
    ...(totalOf(table) as Score<Figure>),
    ...intervalsOf(table),
    judgements: valid.length,
    failed,
    unjudged: ids.filter((id) => !judged.has(id)),
    orders: Object.fromEntries(byValue(valid, ({ order }) => order).map(([order, some]) => [order, relativeOf(some)])),
    repeats,
    ...(repeats.length > 1 && { spread: spreadOf(repeats) }),
  };
}

/** A row a question: the means of its judgements. */
function tableOf(valid: readonly Verdict[]): Tallied {
  const rows = byValue(valid, ({ question_id }) => question_id).map(([id, some]) => {
    const mean = (of: "reference" | "candidate"): number =>
      share(sum(some.map(({ scores }) => scores![of])), some.length);
    const { images, category } = some[0]!;
    return {
      sums: { n: 1, reference: mean("reference"), candidate: mean("candidate") },
      kinds: category === "all" ? [] : [category],
      unit: images.length > 0 ? JSON.stringify(images) : id,
    };
  });
  return {
    rows,
    figures: ({ n = 0, reference = 0, candidate = 0 }) => ({
      relative: 100 * share(candidate, reference),
      reference: 10 * share(reference, n),
      candidate: 10 * share(candidate, n),
    }),
  };
}

function relativeOf(some: readonly Verdict[]): number {
  return (totalOf(tableOf(some)) as Score<Figure>).relative;
}

/** Mean and sample standard deviation. */
function spreadOf(values: readonly number[]): { mean: number; deviation: number } {
  const mean = sum(values) / values.length;
  return { mean, deviation: Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / (values.length - 1)) };
}

function byValue<K>(verdicts: readonly Verdict[], of: (verdict: Verdict) => K): [K, Verdict[]][] {
  const groups = new Map<K, Verdict[]>();
  for (const verdict of verdicts) {
    const key = of(verdict);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [verdict]);
    else group.push(verdict);
  }
  return [...groups];
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
