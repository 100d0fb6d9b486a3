// Which objects are asked about in which picture: over the whole source as many yes as no, for every object or picture.
import type { Random } from "../../data/random.ts";
import type { Cooccurrence } from "./statistics.ts";

/** How an absent object is chosen, after POPE (Li et al. 2023, arXiv 2305.10355, §4.1). */
export type AbsentStrategy = "random" | "popular" | "adversarial";

/** The presence questions of one picture, by object name. */
export interface PresencePlan {
  readonly yes: readonly string[];
  readonly no: readonly string[];
}

/** What one picture allows: names to ask with the answer yes, and names that must not be called absent. */
export interface PresenceChoice {
  readonly present: readonly string[];
  readonly doubtful: ReadonlySet<string>;
  /** questions wanted for this picture, half of each answer */
  readonly wanted: number;
}

/**
 * What holds as many yes as no: "object", every object over the whole source, so that who does not look gains nothing;
 * "picture", every picture, so that objects keep the frequencies with which photos show them, as in POPE.
 */
export type PresenceBalance = "object" | "picture";

const strategies: readonly AbsentStrategy[] = ["random", "popular", "adversarial"];

interface Draft {
  yes: number[];
  readonly no: number[];
  readonly absent: Uint8Array;
}

/**
 * Plans all pictures at once. Yes questions are drawn first, rarer names more often; they are the demand for no
 * questions of the same names, which pictures without the object take up, a third each by the three strategies.
 * Where a name finds too few pictures without it, yes questions are taken back until both answers are equal in number.
 */
export function planPresence(
  choices: readonly PresenceChoice[],
  statistics: Cooccurrence,
  random: Random,
  balance: PresenceBalance = "object",
): readonly PresencePlan[] {
  if (balance === "picture") return choices.map((choice) => planPicture(choice, statistics, random));
  const { names } = statistics;
  const ids = new Map(names.map((name, id) => [name, id]));
  const demand = new Int32Array(names.length);
  const drafts = choices.map((choice) => draft(choice, ids, statistics, demand, random));
  const slots = choices.reduce((most, { wanted }) => Math.max(most, Math.ceil(wanted / 2)), 0);
  for (let slot = 0; slot < slots; slot++) fillSlot(slot, choices, drafts, statistics, demand, random);
  takeBack(drafts, demand, random);
  const spell = (list: readonly number[]): string[] => list.map((id) => names[id] as string);
  return drafts.map(({ yes, no }) => ({ yes: spell(yes), no: spell(no) }));
}

/** One picture by itself: present objects, and as many absent ones, a third each by the three strategies. */
function planPicture(
  { present, doubtful, wanted }: PresenceChoice,
  statistics: Cooccurrence,
  random: Random,
): PresencePlan {
  const yes = random.sample(present, Math.floor(wanted / 2));
  const no: string[] = [];
  const ranked = strategies.map((strategy) => rankAbsent({ present, doubtful }, strategy, statistics, yes.length));
  while (no.length < yes.length) {
    const left = random.pick(ranked).filter((name) => !no.includes(name));
    if (left.length === 0) break;
    no.push(random.pick(left));
  }
  return { yes: yes.slice(0, no.length), no };
}

/** Absent objects are drawn from this many best-ranked ones, so that one frequent name does not make up all questions. */
const bestRanked = 10;

/** Absent names that the strategy would take first, at least `atLeast` where there are so many; all for "random". */
export function rankAbsent(
  { present, doubtful }: { readonly present: readonly string[]; readonly doubtful: ReadonlySet<string> },
  strategy: AbsentStrategy,
  { names, counts, score }: Cooccurrence,
  atLeast = 0,
): string[] {
  const absent = [...names.keys()].filter((id) => !doubtful.has(names[id] as string));
  if (strategy !== "random") {
    const shown = new Set(present);
    const given = [...names.keys()].filter((id) => shown.has(names[id] as string));
    const values = new Map(
      absent.map((id) => [id, strategy === "popular" ? (counts[id] as number) : score(id, given)]),
    );
    absent.sort((a, b) => (values.get(b) as number) - (values.get(a) as number));
    absent.splice(Math.max(bestRanked, atLeast));
  }
  return absent.map((id) => names[id] as string);
}

function draft(
  { present, doubtful, wanted }: PresenceChoice,
  ids: ReadonlyMap<string, number>,
  { counts }: Cooccurrence,
  demand: Int32Array,
  random: Random,
): Draft {
  const absent = new Uint8Array(demand.length).fill(1);
  for (const name of doubtful) {
    const id = ids.get(name);
    if (id !== undefined) absent[id] = 0;
  }
  const known = present.map((name) => ids.get(name)).filter((id) => id !== undefined);
  // exponential keys with rate √count: a weighted sample without replacement (Efraimidis and Spirakis 2006)
  const keyed = known.map((id) => ({ id, key: -Math.log(1 - random.float()) * Math.sqrt(counts[id] ?? 1) }));
  keyed.sort((a, b) => a.key - b.key);
  const yes = keyed.slice(0, Math.floor(wanted / 2)).map(({ id }) => id);
  for (const id of yes) demand[id] = (demand[id] as number) + 1;
  return { yes, no: [], absent };
}

/** Gives every picture that still wants one a further no question, in random order. */
function fillSlot(
  slot: number,
  choices: readonly PresenceChoice[],
  drafts: readonly Draft[],
  statistics: Cooccurrence,
  demand: Int32Array,
  random: Random,
): void {
  const order = random.shuffle([...drafts.keys()].filter((i) => Math.ceil((choices[i]?.wanted ?? 0) / 2) > slot));
  const room = new Int32Array(demand.length);
  for (const i of order)
    for (const [id, free] of (drafts[i] as Draft).absent.entries()) room[id] = (room[id] as number) + free;
  const weights = new Float64Array(demand.length);
  for (const i of order) {
    const { absent, no, yes } = drafts[i] as Draft;
    const score = scoreOf(random.pick(strategies), yes, statistics);
    let sum = 0;
    for (let id = 0; id < weights.length; id++) {
      const free = (absent[id] as number) > 0 && (demand[id] as number) > 0;
      // names that few pictures can still take come first
      sum += weights[id] = free ? (score(id) * (demand[id] as number)) / (room[id] as number) : 0;
      room[id] = (room[id] as number) - (absent[id] as number);
    }
    const id = draw(weights, sum, random);
    if (id < 0) continue;
    no.push(id);
    absent[id] = 0;
    demand[id] = (demand[id] as number) - 1;
  }
}

function scoreOf(
  strategy: AbsentStrategy,
  present: readonly number[],
  statistics: Cooccurrence,
): (id: number) => number {
  if (strategy === "random") return () => 1;
  if (strategy === "popular" || present.length === 0) return (id) => statistics.counts[id] as number;
  return (id) => statistics.score(id, present) ** 2 + 1e-9;
}

/** An index with probability in proportion to its weight; -1 when all are zero. */
function draw(weights: Float64Array, sum: number, random: Random): number {
  if (!(sum > 0)) return -1;
  let left = random.float() * sum;
  let last = -1;
  for (const [id, weight] of weights.entries()) {
    if (weight <= 0) continue;
    last = id;
    left -= weight;
    if (left < 0) break;
  }
  return last;
}

/** Removes yes questions whose no questions found no picture. */
function takeBack(drafts: readonly Draft[], demand: Int32Array, random: Random): void {
  for (const draft of random.shuffle(drafts)) {
    draft.yes = draft.yes.filter((id) => {
      if ((demand[id] as number) <= 0) return true;
      demand[id] = (demand[id] as number) - 1;
      return false;
    });
  }
}
