// Where recipes differ, key by key.
import { parse } from "yaml";
import { isRecord } from "../../data/untrusted.ts";

export interface Difference {
  /** e.g. "stages.align.learning_rate.projector" */
  readonly key: string;
  /** one a recipe; absent where it does not have the key */
  readonly values: readonly (string | undefined)[];
}

/** They differ between any two runs. */
const always = ["name", "output"];

/** Keys whose values are not the same in all recipes (YAML texts), in the order of their first appearance. */
export function recipeDifferences(recipes: readonly string[]): Difference[] {
  const flat = recipes.map((recipe) => flatten(parse(recipe)));
  const keys = new Set(flat.flatMap((recipe) => [...recipe.keys()]).filter((key) => !always.includes(key)));
  return [...keys]
    .map((key) => ({ key, values: flat.map((recipe) => recipe.get(key)) }))
    .filter(({ values }) => values.some((value) => value !== values[0]));
}

/** Nested keys joined by dots; items of lists go by their names where they have some. */
function flatten(value: unknown, prefix = ""): Map<string, string> {
  const inner =
    Array.isArray(value) && value.every(isRecord) ? named(value) : isRecord(value) ? Object.entries(value) : undefined;
  if (inner === undefined) return new Map([[prefix, typeof value === "string" ? value : JSON.stringify(value)]]);
  return new Map(inner.flatMap(([key, child]) => [...flatten(child, prefix === "" ? key : `${prefix}.${key}`)]));
}

function named(list: readonly Record<string, unknown>[]): [string, unknown][] {
  return list.map((item, i) => [typeof item["name"] === "string" ? item["name"] : String(i + 1), item]);
}
