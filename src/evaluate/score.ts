// Figures of a task's answers with 95 % intervals: a bootstrap over pictures, as questions about one are no independent draws.
import { random } from "../data/random.ts";
import type { Answered, Score, Sums, Task } from "./task.ts";

/** Lower and upper end. */
export type Interval = readonly [number, number];

/** Intervals by figure, and by kind. */
export interface Intervals {
  readonly [figure: string]: Interval | Readonly<Record<string, Readonly<Record<string, Interval>>>>;
}

/** How intervals were made: answers about one picture (or without one, of one group) are drawn together. */
export interface Bootstrap {
  readonly level: number;
  readonly resamples: number;
  readonly seed: number;
  /** pictures, and questions without one, that were drawn from */
  readonly units: number;
}

const LEVEL = 0.95;
const RESAMPLES = 1000;
const SEED = 0;

/** What is added up, and what is drawn together. */
export interface Tallied {
  readonly rows: readonly {
    readonly sums: Sums;
    readonly kinds: readonly string[];
    /** rows of one unit are drawn together */
    readonly unit: string;
  }[];
  readonly figures: (sums: Sums) => Readonly<Record<string, number>>;
}

/** A task's answers, added up by picture; those without one by group. */
export function tallied(task: Task, answered: readonly Answered[]): Tallied {
  const rows = task.tally(answered).map((sums, i) => {
    const { images, group, id, kinds = [] } = answered[i]!.question;
    return { sums, kinds, unit: JSON.stringify(images.length > 0 ? images : [[group ?? id]]) };
  });
  return { rows, figures: task.figures };
}

/** The figures alone, with the number of rows. */
export function scoreOf<F extends string>(task: Task<F>, answered: readonly Answered[]): Score<F> {
  return totalOf(tallied(task, answered)) as Score<F>;
}

/** The same of anything that is added up. */
export function totalOf(table: Tallied): Score {
  const counts = new Map<string, number>([[whole, table.rows.length]]);
  for (const { kinds } of table.rows) for (const kind of new Set(kinds)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return unflatten(figuresOf(columnsOf(table)), counts) as Score;
}

/**
 * 95 % percentile intervals of every figure (Efron and Tibshirani 1993, §13.3), always the same for the same answers;
 * empty where there are not at least two units to draw from.
 */
export function intervalsOf(table: Tallied): { readonly intervals: Intervals; readonly bootstrap: Bootstrap } {
  const units = unitsOf(table);
  const draws = resample([columnsOf(table)], units, ([drawn]) => figuresOf(drawn!));
  return { intervals: intervalTree(draws), bootstrap: bootstrapOf(units) };
}

/** How figures differ between two tables of the same rows: second less first, with intervals of the differences. */
export function differenceOf(
  first: Tallied,
  second: Tallied,
): { readonly difference: object; readonly intervals: Intervals; readonly bootstrap: Bootstrap } {
  const both = [columnsOf(first), columnsOf(second)];
  const units = unitsOf(first);
  const less = ([a, b]: readonly Columns[]): Map<string, number> => {
    const [before, after] = [figuresOf(a!), figuresOf(b!)];
    return new Map([...after].map(([name, value]) => [name, value - (before.get(name) ?? 0)]));
  };
  const draws = resample(both, units, less);
  return { difference: unflatten(less(both)), intervals: intervalTree(draws), bootstrap: bootstrapOf(units) };
}

/** Sums as rows, with a column for each sum of each kind. */
interface Columns {
  readonly names: readonly string[];
  readonly rows: readonly Float64Array[];
  readonly figures: Tallied["figures"];
}

// names of kinds come from files: none may look like a figure of the whole
const BETWEEN = "\u0000";
const whole = "";

function columnsOf({ rows, figures }: Tallied): Columns {
  const places = new Map<string, number>();
  const placed = rows.map(({ sums, kinds }) =>
    [whole, ...new Set(kinds)].flatMap((kind) =>
      Object.entries(sums).map(([name, value]): [number, number] => {
        const key = kind + BETWEEN + name;
        if (!places.has(key)) places.set(key, places.size);
        return [places.get(key)!, value];
      }),
    ),
  );
  const filled = placed.map((row) => {
    const sums = new Float64Array(places.size);
    for (const [place, value] of row) sums[place]! += value;
    return sums;
  });
  return { names: [...places.keys()], rows: filled, figures };
}

/** Figures by kind and name, the whole's first. */
function figuresOf({ names, rows, figures }: Columns): Map<string, number> {
  const total = summed(names.length, rows, rows.keys());
  const kinds = new Map<string, Record<string, number>>([[whole, {}]]);
  for (const [i, key] of names.entries()) {
    const [kind, name] = key.split(BETWEEN) as [string, string];
    const sums = kinds.get(kind) ?? {};
    kinds.set(kind, sums);
    sums[name] = total[i]!;
  }
  const named = ([kind, sums]: readonly [string, Sums]): [string, number][] =>
    Object.entries(figures(sums)).map(([name, value]) => [kind + BETWEEN + name, value]);
  return new Map([...kinds].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(named));
}

/** Places of the rows that are drawn together. */
function unitsOf({ rows }: Tallied): number[][] {
  const units = new Map<string, number[]>();
  for (const [place, { unit }] of rows.entries()) {
    const places = units.get(unit);
    if (places === undefined) units.set(unit, [place]);
    else places.push(place);
  }
  return [...units.values()];
}

function bootstrapOf(units: readonly unknown[]): Bootstrap {
  return { level: LEVEL, resamples: RESAMPLES, seed: SEED, units: units.length };
}

/** Figures of so many draws of units with replacement, all of `tables` drawn alike. */
function resample(
  tables: readonly Columns[],
  units: readonly (readonly number[])[],
  figures: (drawn: readonly Columns[]) => Map<string, number>,
): Map<string, number[]> {
  const draws = new Map<string, number[]>();
  if (units.length < 2) return draws;
  const ofUnits = tables.map(({ names, rows }) => units.map((places) => summed(names.length, rows, places)));
  const dice = random(SEED, "bootstrap");
  for (let r = 0; r < RESAMPLES; r++) {
    const drawn = Array.from(units, () => dice.int(units.length));
    const sums = tables.map((table, t) => ({ ...table, rows: [summed(table.names.length, ofUnits[t]!, drawn)] }));
    for (const [name, value] of figures(sums)) {
      const values = draws.get(name);
      if (values === undefined) draws.set(name, [value]);
      else values.push(value);
    }
  }
  return draws;
}

function summed(width: number, rows: readonly Float64Array[], places: Iterable<number>): Float64Array {
  const sums = new Float64Array(width);
  for (const place of places) {
    const row = rows[place]!;
    for (let i = 0; i < width; i++) sums[i]! += row[i]!;
  }
  return sums;
}

function intervalTree(draws: ReadonlyMap<string, number[]>): Intervals {
  const ends = [...draws].map(([name, values]): [string, Interval] => {
    const sorted = Float64Array.from(values).sort();
    return [name, [quantile(sorted, (1 - LEVEL) / 2), quantile(sorted, (1 + LEVEL) / 2)]];
  });
  return unflatten(new Map(ends)) as unknown as Intervals;
}

/** Linear between neighbours (numpy's default). */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (high - low) * (at - Math.floor(at));
}

/** Values of the whole at the top, those of kinds below `kinds`; `n` first where counts are given. */
function unflatten(values: ReadonlyMap<string, unknown>, counts?: ReadonlyMap<string, number>): object {
  const kinds = new Map<string, Record<string, unknown>>();
  const start = (kind: string): Record<string, unknown> => (counts === undefined ? {} : { n: counts.get(kind) });
  for (const [key, value] of values) {
    const [kind, name] = key.split(BETWEEN) as [string, string];
    const own = kinds.get(kind) ?? start(kind);
    kinds.set(kind, own);
    own[name] = value;
  }
  const all = kinds.get(whole) ?? start(whole);
  kinds.delete(whole);
  return { ...all, ...(kinds.size > 0 && { kinds: Object.fromEntries(kinds) }) };
}
