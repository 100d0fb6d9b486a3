// Reads question files that are JSON, each item checked against a shape.
import { basename, extname } from "node:path";
import type { z } from "zod";
import { jsonItems, jsonSections } from "../data/json-items.ts";
import { refused, shown } from "../data/untrusted.ts";

export interface Item<T> {
  readonly value: T;
  /** the key of the top-level object that holds it; "" in lists and JSON lines */
  readonly section: string;
  /** file and line */
  readonly where: string;
}

/** The items of a list or of JSON lines. Throws `QUESTION_SHAPE`, and as `jsonItems`. */
export async function* itemsOf<T>(path: string, shape: z.ZodType<T>): AsyncGenerator<Item<T>> {
  for await (const { value, line, section } of jsonItems(path)) yield checked(shape, value, section, `${path}:${line}`);
}

/** The members of a top-level object in `sections` (all unless told); of lists, the elements. Throws as `itemsOf`. */
export async function* membersOf<T>(
  path: string,
  shape: z.ZodType<T>,
  isWanted: (section: string) => boolean = () => true,
): AsyncGenerator<Item<T>> {
  for await (const { value, line, section } of jsonSections(path))
    if (isWanted(section)) yield checked(shape, value, section, `${path}:${line}`);
}

/** A file's name without its ending. */
export function stemOf(path: string): string {
  return basename(path, extname(path));
}

function checked<T>(shape: z.ZodType<T>, value: unknown, section: string, where: string): Item<T> {
  const parsed = shape.safeParse(value);
  if (parsed.success) return { value: parsed.data, section, where };
  const issue = parsed.error.issues[0]!;
  const field = issue.path.join(".") || "the item";
  throw refused("QUESTION_SHAPE", `${field}: ${issue.message}`, shown(value), where);
}
