// `--set stages.align.epochs=1`: overrides written into the recipe's YAML before it is checked.
import { isMap, isScalar, isSeq, parse, type Document } from "yaml";
import { InputError } from "../errors.ts";
import { nearest } from "./recipe-nearest.ts";

type Key = string | number;

/** Where an override set something: its path, joined by dots, with the text that the user typed. */
export type Overridden = ReadonlyMap<string, string>;

/**
 * Applies overrides in order. Items of a list are named by index or by their `name`.
 * Throws `RECIPE_OVERRIDE` for text without "=", unknown items and paths through plain values.
 */
export function applyOverrides(document: Document, overrides: readonly string[], file: string): Overridden {
  const overridden = new Map<string, string>();
  for (const text of overrides) {
    const [, dotted, value] = /^([^=]+)=([\s\S]*)$/.exec(text) ?? [];
    if (dotted === undefined || value === undefined) {
      throw refuse(text, "KEY=VALUE, e.g. stages.align.epochs=1", `"${text}"`);
    }
    const path = locate(document, dotted.trim().split("."), text, file);
    document.setIn(path, document.createNode(parseValue(value, text)));
    overridden.set(path.join("."), text);
  }
  return overridden;
}

/** Resolves names of list items to indices; the last keys may be new. */
function locate(document: Document, keys: readonly string[], text: string, file: string): Key[] {
  const path: Key[] = [];
  for (const key of keys) {
    const parent: unknown = path.length === 0 ? document.contents : document.getIn(path, true);
    if (isSeq(parent)) path.push(itemIndex(parent.items, key, text, file));
    else if (parent === undefined || parent === null || isMap(parent)) path.push(key);
    else if (isScalar(parent) && parent.value === null) path.push(key);
    else throw refuse(text, `a key that holds others before ".${key}"`, `${path.join(".")}, a plain value in ${file}`);
  }
  return path;
}

function itemIndex(items: readonly unknown[], key: string, text: string, file: string): number {
  const names = items.map((item) => (isMap(item) ? String(item.get("name") ?? "") : ""));
  const index = /^\d+$/.test(key) ? Number(key) : names.indexOf(key);
  if (index >= 0 && index < items.length) return index;
  const known = names.some(Boolean) ? `one of ${names.filter(Boolean).join(", ")}` : `an index below ${items.length}`;
  const meant = nearest(key, names.filter(Boolean));
  throw refuse(text, `${known} (${file})`, `"${key}"`, meant === undefined ? undefined : `did you mean "${meant}"?`);
}

function parseValue(value: string, text: string): unknown {
  try {
    return parse(value) as unknown;
  } catch (cause) {
    throw refuse(text, "a YAML value after the =", (cause as Error).message.split("\n")[0] ?? "none");
  }
}

function refuse(text: string, expected: string, got: string, fix?: string): InputError {
  return new InputError("RECIPE_OVERRIDE", {
    expected,
    got,
    where: `--set ${text}`,
    ...(fix === undefined ? {} : { fix }),
  });
}
