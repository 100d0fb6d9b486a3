// What votes come to: for each two that met, how often either won, with an interval over conversations.
import { intervalsOf, type Interval, type Tallied, totalOf } from "../score.ts";
import { share } from "../task.ts";
import type { Contender, VoteLine } from "./line.ts";

/** Two that met: the figures are the first one's. */
export interface PairScore {
  readonly first: string;
  readonly second: string;
  readonly n: number;
  readonly won: number;
  readonly lost: number;
  readonly tie: number;
  readonly both_bad: number;
  /** the part of all votes that it won, ties and "both bad" counted half: 0.5 where the two are alike */
  readonly score: number;
  /** 95 %, drawn over conversations; absent where all votes are about one */
  readonly interval?: Interval;
}

export interface VoteScore {
  readonly votes: number;
  readonly blind: number;
  /** those that met most often first */
  readonly pairs: readonly PairScore[];
  /** votes between two of the same model and settings: they say nothing of either */
  readonly same: number;
  /** of the votes for one side, the part that went to A: 0.5 where readers favour no place */
  readonly a_share: number;
}

/** Adds votes up, whichever side each stood on. */
export function scoreVotes(lines: readonly VoteLine[]): VoteScore {
  const names = namesOf(lines.flatMap(({ a, b }) => [a, b]));
  const pairs = new Map<string, VoteLine[]>();
  for (const line of lines) {
    const [a, b] = [keyOf(line.a), keyOf(line.b)];
    if (a === b) continue;
    const turned = a < b ? line : swapped(line);
    const key = JSON.stringify([turned.a, turned.b].map(keyOf));
    pairs.set(key, [...(pairs.get(key) ?? []), turned]);
  }
  const count = (is: (line: VoteLine) => boolean): number => lines.filter(is).length;
  const [forA, forB] = [count(({ vote }) => vote === "a"), count(({ vote }) => vote === "b")];
  return {
    votes: lines.length,
    blind: count(({ blind }) => blind),
    pairs: [...pairs.values()].sort((x, y) => y.length - x.length).map((some) => pairScore(some, names)),
    same: count(({ a, b }) => keyOf(a) === keyOf(b)),
    a_share: share(forA, forA + forB),
  };
}

function pairScore(lines: readonly VoteLine[], names: ReadonlyMap<string, string>): PairScore {
  const count = (vote: VoteLine["vote"]): number => lines.filter((line) => line.vote === vote).length;
  const table: Tallied = {
    rows: lines.map(({ vote, conversation }) => ({
      sums: { n: 1, points: { a: 1, b: 0, tie: 0.5, both_bad: 0.5 }[vote] },
      kinds: [],
      unit: conversation,
    })),
    figures: ({ n = 0, points = 0 }) => ({ score: share(points, n) }),
  };
  const interval = intervalsOf(table).intervals["score"] as Interval | undefined;
  const { score } = totalOf(table) as unknown as { readonly score: number };
  const [first, second] = [lines[0]!.a, lines[0]!.b].map((one) => names.get(keyOf(one))!) as [string, string];
  const counts = { won: count("a"), lost: count("b"), tie: count("tie"), both_bad: count("both_bad") };
  return { first, second, n: lines.length, ...counts, score, ...(interval && { interval }) };
}

function swapped({ a, b, vote, ...rest }: VoteLine): VoteLine {
  return { ...rest, a: b, b: a, vote: ({ a: "b", b: "a" } as const)[vote as "a" | "b"] ?? vote };
}

/** Model, system prompt and settings, whatever order they were written in. */
function keyOf({ model, system, settings }: Contender): string {
  return JSON.stringify([model, system ?? "", Object.entries(settings).sort(([x], [y]) => (x < y ? -1 : 1))]);
}

/** A name for each: its model, and what sets it apart from others of that model. */
function namesOf(contenders: readonly Contender[]): Map<string, string> {
  const distinct = new Map(contenders.map((one) => [keyOf(one), one]));
  const facts = ({ settings, system = "none" }: Contender): Record<string, unknown> => ({ ...settings, system });
  const name = (one: Contender): string => {
    const others = [...distinct.values()].filter(({ model }) => model === one.model).map(facts);
    const keys = [...new Set(others.flatMap((each) => Object.keys(each)))].sort();
    const apart = keys.filter((key) => new Set(others.map((each) => each[key])).size > 1);
    const own = facts(one);
    return [one.model, ...apart.map((key) => `${key} ${String(own[key] ?? "unset")}`)].join(", ");
  };
  return new Map([...distinct].map(([key, one]) => [key, name(one)]));
}
