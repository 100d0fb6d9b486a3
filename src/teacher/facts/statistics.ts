// Counts over a whole source: how often each object occurs, alone and together with each other one.

/** Names by falling frequency, and how often they share a picture. */
export interface Cooccurrence {
  readonly names: readonly string[];
  /** pictures that show the name, by its place in `names` */
  readonly counts: readonly number[];
  /** how much the present names speak for `id`: the sum of P(id | present), places in `names` */
  score(id: number, present: readonly number[]): number;
}

/** Rarer names are never asked for: a table of pairs over a long tail would hold mostly ones. */
const mostNames = 1000;

/** Counts names and pairs of names over pictures, each given as the set of names that it shows. */
export function countCooccurrence(pictures: readonly Iterable<string>[]): Cooccurrence {
  const frequency = new Map<string, number>();
  for (const picture of pictures) for (const name of picture) frequency.set(name, (frequency.get(name) ?? 0) + 1);
  // ties by code units, so that the order is the same on every machine
  const sorted = [...frequency].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).slice(0, mostNames);
  const names = sorted.map(([name]) => name);
  const counts = sorted.map(([, count]) => count);
  const ids = new Map(names.map((name, id) => [name, id]));
  const size = names.length;
  const pairs = new Uint32Array(size * size);
  for (const picture of pictures) {
    const shown = [...picture].map((name) => ids.get(name)).filter((id) => id !== undefined);
    for (const a of shown) for (const b of shown) pairs[a * size + b] = (pairs[a * size + b] as number) + 1;
  }
  const score = (id: number, present: readonly number[]): number => {
    let sum = 0;
    for (const given of present) sum += (pairs[given * size + id] as number) / (counts[given] as number);
    return sum;
  };
  return { names, counts, score };
}

/**
 * The probability with which each answer is kept so that none makes up more than `share` of what is kept (or an equal
 * part, where there are too few answers for that). `tally` holds how often each answer could be given.
 */
export function keepProbabilities(tally: ReadonlyMap<string, number>, share: number): ReadonlyMap<string, number> {
  const cap = largestCap([...tally.values()], Math.max(share, 1 / tally.size));
  return new Map([...tally].map(([answer, amount]) => [answer, amount > 0 ? Math.min(1, cap / amount) : 0]));
}

/** The largest cap with cap ≤ limit · Σ min(amount, cap), where limit · (number of amounts) ≥ 1. */
function largestCap(amounts: readonly number[], limit: number): number {
  const sorted = [...amounts].sort((a, b) => b - a);
  let below = sorted.reduce((sum, amount) => sum + amount, 0);
  if ((sorted[0] ?? 0) <= limit * below) return sorted[0] ?? 0;
  for (const [i, amount] of sorted.entries()) {
    below -= amount;
    const capped = i + 1;
    // so many equal answers cannot exceed the limit
    if (limit * capped >= 1) return amount;
    // cap = limit · (capped · cap + below)
    const cap = (limit * below) / (1 - limit * capped);
    if (cap >= (sorted[i + 1] ?? 0)) return cap;
  }
  return 0;
}
