// The table of question kinds; a new kind is one file and one row.
import { caption } from "./kinds/caption.ts";
import { colour } from "./kinds/colour.ts";
import { count } from "./kinds/count.ts";
import { description } from "./kinds/description.ts";
import { height } from "./kinds/height.ts";
import { list } from "./kinds/list.ts";
import { place } from "./kinds/place.ts";
import { presence } from "./kinds/presence.ts";
import { side } from "./kinds/side.ts";
import { size } from "./kinds/size.ts";
import type { Ask, FactContext, FactKind } from "./kind.ts";
import type { Random } from "../../data/random.ts";

/** A kind with its candidates hidden, so that kinds of different candidates stand in one table. */
export interface AnyKind {
  readonly name: FactKindName;
  readonly alone: boolean;
  /** whether it has the fixed short-answer form that `examine` gives */
  readonly short: boolean;
  readonly balance?: { readonly share: number };
  /** the answers to be balanced, one for each candidate */
  answers(context: FactContext): readonly string[];
  /** up to `want` questions, candidates kept with the probability of their answer */
  ask(context: FactContext, want: number, keep: ReadonlyMap<string, number>, random: Random): Ask[];
  /** the same in the wording of evaluation; empty for kinds without one */
  examine(context: FactContext, want: number, keep: ReadonlyMap<string, number>, random: Random): Ask[];
}

/** Default number of questions of each kind for one picture; fractions are probabilities. */
export const defaultMixture = {
  presence: 6,
  count: 2,
  "left-right": 3,
  place: 1,
  "above-below": 0.5,
  "larger-smaller": 0.5,
  colour: 1,
  list: 0.3,
  caption: 0.4,
  description: 0.4,
} as const;

export type FactKindName = keyof typeof defaultMixture;

export const factKinds: readonly AnyKind[] = [
  row("presence", presence),
  row("count", count),
  row("left-right", side),
  row("place", place),
  row("above-below", height),
  row("larger-smaller", size),
  row("colour", colour),
  row("list", list),
  row("caption", caption),
  row("description", description),
];

function row<Candidate>(name: FactKindName, kind: FactKind<Candidate>): AnyKind {
  const { balance } = kind;
  const choose = (
    context: FactContext,
    want: number,
    keep: ReadonlyMap<string, number>,
    random: Random,
  ): Candidate[] => {
    const found = kind.find(context);
    if (balance === undefined) return random.sample(found, want);
    return random.sample(
      found.filter((each) => random.chance(keep.get(balance.answer(each)) ?? 1)),
      want,
    );
  };
  return {
    name,
    alone: kind.alone,
    short: kind.exam !== undefined,
    ...(balance === undefined ? {} : { balance: { share: balance.share } }),
    answers: (context) => (balance === undefined ? [] : kind.find(context).map((found) => balance.answer(found))),
    ask: (context, want, keep, random) => {
      return choose(context, want, keep, random).map((found) => kind.word(found, context, random));
    },
    examine: (context, want, keep, random) => {
      const { exam } = kind;
      return exam === undefined ? [] : choose(context, want, keep, random).map((found) => exam(found, random));
    },
  };
}
