// `--sweep key=a,b,c`: every combination of values as overrides of a recipe, each with a name for its folder.
import { InputError } from "../errors.ts";

/** One combination: the texts that `--set` would take, and what tells it from the others. */
export interface Variant {
  /** also a folder's name, e.g. "batch_size=4,learning_rate=1e-4" */
  readonly name: string;
  readonly overrides: readonly string[];
  /** values by the keys' short names */
  readonly values: Readonly<Record<string, string>>;
}

interface Axis {
  readonly key: string;
  readonly values: readonly string[];
}

/** More combinations than anyone waits for: rather a mistyped list. */
const mostVariants = 1000;

/**
 * The grid of all sweeps, the last key changing fastest. A value is YAML; commas inside brackets and quotes belong to it.
 * Throws `SWEEP` for a key without values, a key or value given twice, and more than 1,000 combinations.
 */
export function sweepVariants(sweeps: readonly string[]): Variant[] {
  const axes = sweeps.map(parseAxis);
  const keys = axes.map(({ key }) => key);
  const twice = keys.find((key, i) => keys.indexOf(key) < i);
  if (twice !== undefined) throw refuse("each key once", `${twice} twice`, sweeps[keys.lastIndexOf(twice)]!);
  const total = axes.reduce((product, { values }) => product * values.length, 1);
  if (total > mostVariants) throw refuse(`at most ${mostVariants} combinations`, String(total), sweeps.join(" "));
  const short = new Map(keys.map((key) => [key, shortName(key, keys)]));
  const grid = axes.reduce<(readonly [string, string])[][]>(
    (combinations, { key, values }) =>
      combinations.flatMap((combination) => values.map((value) => [...combination, [key, value] as const])),
    [[]],
  );
  const names = folderNames(
    grid.map((each) => each.map(([key, value]) => `${short.get(key)}=${plain(value)}`).join(",")),
  );
  return grid.map((each, i) => ({
    name: names[i]!,
    overrides: each.map(([key, value]) => `${key}=${value}`),
    values: Object.fromEntries(each.map(([key, value]) => [short.get(key)!, value])),
  }));
}

function parseAxis(text: string): Axis {
  const [, key, list] = /^([^=]+)=([\s\S]+)$/.exec(text) ?? [];
  if (key === undefined || list === undefined) {
    throw refuse("KEY=VALUE,VALUE,…, e.g. stages.align.learning_rate=1e-3,2e-3", `"${text}"`, text);
  }
  const values = splitValues(list);
  if (values.includes("")) throw refuse("a value on both sides of each comma", `"${list}"`, text);
  const twice = values.find((value, i) => values.indexOf(value) < i);
  if (twice !== undefined) throw refuse("each value once", `${twice} twice`, text);
  return { key: key.trim(), values };
}

/** Cuts at commas that stand in no brackets and no quotes. */
function splitValues(list: string): string[] {
  const pieces = list.match(/"(?:[^"\\]|\\.)*"|'[^']*'|[[\]{},]|[^"'[\]{},]+|["']/g) ?? [];
  const values = [""];
  let depth = 0;
  for (const piece of pieces) {
    if (piece === "[" || piece === "{") depth++;
    if (piece === "]" || piece === "}") depth--;
    if (piece === "," && depth <= 0) values.push("");
    else values[values.length - 1] += piece;
  }
  return values.map((value) => value.trim());
}

/** As many of a key's last words as tell it from the other keys. */
function shortName(key: string, keys: readonly string[]): string {
  const words = key.split(".");
  const last = (of: string, count: number): string => of.split(".").slice(-count).join(".");
  for (let count = 1; count < words.length; count++) {
    if (keys.filter((other) => last(other, count) === last(key, count)).length === 1) return last(key, count);
  }
  return key;
}

/** A value as part of a name that every file system takes. */
function plain(value: string): string {
  const bare = value.replaceAll(/^[[{"'\s]+|[\]}"'\s]+$/g, "");
  return bare.replaceAll(/[^A-Za-z0-9._+-]+/g, "-").slice(0, 60);
}

/** A number where two would be the same, on any file system. */
function folderNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let free = name;
    for (let n = 2; taken.has(free.toLowerCase()); n++) free = `${name}-${n}`;
    taken.add(free.toLowerCase());
    return free;
  });
}

function refuse(expected: string, got: string, text: string): InputError {
  return new InputError("SWEEP", { expected, got, where: `--sweep ${text}` });
}
