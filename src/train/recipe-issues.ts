// Turns what zod found wrong with a recipe into one error that names the key, its line, what was expected and what came.
import { isMap, isNode, isPair, isScalar, type Document, type LineCounter } from "yaml";
import type { z } from "zod";
import { InputError } from "../errors.ts";
import { nearest } from "./recipe-nearest.ts";
import type { Overridden } from "./recipe-overrides.ts";
import { recipeSchema } from "./recipe-schema.ts";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** The recipe's text, for errors that point into it. */
export interface RecipeSource {
  readonly file: string;
  readonly document: Document;
  readonly lines: LineCounter;
  readonly overridden: Overridden;
}

/** The error for the most telling issue: an unknown key first, since a mistyped key also makes one go missing. */
export function explainIssues(issues: readonly Issue[], source: RecipeSource): InputError {
  const flat = issues.flatMap((issue) => flatten(issue, []));
  const issue = flat.find((each) => each.code === "unrecognized_keys") ?? flat[0];
  if (issue === undefined) return recipeError(source, [], "a recipe", "something else");
  if (issue.code === "unrecognized_keys") return unknownKey(issue.path, issue.keys[0] ?? "", source);
  const value = valueAt(source, issue.path);
  const choices = issue.code === "invalid_value" ? issue.values.map(String) : [];
  const meant = typeof value === "string" ? nearest(value, choices) : undefined;
  const fix = meant === undefined ? undefined : `did you mean "${meant}"?`;
  return recipeError(source, issue.path, expectation(issue), describe(value), fix);
}

/** An error about the value at `path`. */
export function recipeError(source: RecipeSource, path: Path, expected: string, got: string, fix?: string): InputError {
  const where = `${place(source, path)} ${showPath(source, path)}`.trim();
  return new InputError("RECIPE_VALUE", { expected, got, where, ...(fix === undefined ? {} : { fix }) });
}

function unknownKey(path: Path, key: string, source: RecipeSource): InputError {
  const known = knownKeys(path);
  const meant = nearest(key, known);
  return new InputError("RECIPE_UNKNOWN_KEY", {
    expected: `one of ${known.join(", ")}`,
    got: `"${key}"`,
    where: `${place(source, [...path, key])} ${showPath(source, [...path, key])}`,
    fix: meant === undefined ? "delete it or move it to where it belongs" : `did you mean "${meant}"?`,
  });
}

/** A union's issues are those of the alternative that fits best; none of them fits a value of another type at all. */
function flatten(issue: Issue, prefix: Path): Issue[] {
  const path = [...prefix, ...issue.path];
  if (issue.code !== "invalid_union") return [{ ...issue, path } as Issue];
  const misfits = (option: readonly Issue[]): boolean =>
    option.some((each) => each.path.length === 0 && (each.code === "invalid_type" || each.code === "invalid_value"));
  const fitting = issue.errors.filter((option) => !misfits(option));
  const best = fitting.toSorted((a, b) => a.length - b.length)[0];
  return best === undefined ? [{ ...issue, path } as Issue] : best.flatMap((each) => flatten(each, path));
}

const typeNames: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  array: "a list",
  object: "a mapping of keys to values",
  record: "a mapping of keys to values",
  tuple: "a list",
};

function expectation(issue: Issue): string {
  if (issue.code === "invalid_type") return typeNames[issue.expected] ?? issue.expected;
  if (issue.code === "invalid_value") return `one of ${issue.values.map(String).join(", ")}`;
  if (issue.code === "invalid_union") {
    return [...new Set(issue.errors.flat().map(expectation))].join(" or ");
  }
  if (issue.code === "too_small" || issue.code === "too_big") return bound(issue);
  if (issue.code === "invalid_format" && issue.format === "regex") return issue.message;
  return issue.message.replace(/^Invalid input: expected /, "");
}

function bound(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  const limit = issue.code === "too_small" ? issue.minimum : issue.maximum;
  const word = issue.code === "too_small" ? (issue.inclusive ? "at least" : "more than") : "at most";
  if (issue.origin === "array") return `a list of ${word} ${limit}`;
  if (issue.origin === "string") return "text that is not empty";
  return `a number of ${word} ${limit}`;
}

/** What came, in few words. */
function describe(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
  if (typeof value === "object") return `keys (${Object.keys(value).slice(0, 6).join(", ")})`;
  const text = String(value);
  return typeof value === "string" ? `"${text.slice(0, 60)}"` : text;
}

function valueAt(source: RecipeSource, path: Path): unknown {
  const node: unknown = path.length === 0 ? source.document.contents : source.document.getIn(path);
  return isNode(node) ? (node.toJS(source.document) as unknown) : node;
}

/** "recipe.yaml:12", or the override that wrote it. A missing value is placed at what should hold it. */
function place(source: RecipeSource, path: Path): string {
  for (let length = path.length; length > 0; length--) {
    const override = source.overridden.get(path.slice(0, length).join("."));
    if (override !== undefined) return `--set ${override}`;
    const offset = keyOffset(source.document, path.slice(0, length));
    if (offset !== undefined) return `${source.file}:${source.lines.linePos(offset).line}`;
  }
  return source.file;
}

function keyOffset(document: Document, path: Path): number | undefined {
  const last = path.at(-1);
  const parent: unknown = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const key = isMap(parent)
    ? parent.items.find((pair) => isPair(pair) && isScalar(pair.key) && pair.key.value === last)?.key
    : document.getIn(path, true);
  return isNode(key) && key.range ? key.range[0] : undefined;
}

/** "stages.align.epochs": list items by name where they have one. */
function showPath(source: RecipeSource, path: Path): string {
  const names = path.map((key, i) => {
    const name: unknown =
      typeof key === "number" ? source.document.getIn([...path.slice(0, i + 1), "name"]) : undefined;
    return typeof name === "string" ? name : String(key);
  });
  return names.join(".");
}

/** The keys that the schema allows at a path, through lists, unions and optional values. */
function knownKeys(path: Path): string[] {
  let schemas = [recipeSchema as unknown as SchemaNode];
  for (const key of path) schemas = schemas.flatMap(unwrap).flatMap((schema) => child(schema, key));
  return [...new Set(schemas.flatMap(unwrap).flatMap((schema) => Object.keys(schema.def.shape ?? {})))];
}

interface SchemaNode {
  readonly def: {
    readonly shape?: Readonly<Record<string, SchemaNode>>;
    readonly element?: SchemaNode;
    readonly innerType?: SchemaNode;
    readonly options?: readonly SchemaNode[];
  };
}

function unwrap(schema: SchemaNode): SchemaNode[] {
  const { innerType, options } = schema.def;
  if (innerType !== undefined) return unwrap(innerType);
  return options === undefined ? [schema] : options.flatMap(unwrap);
}

function child(schema: SchemaNode, key: PropertyKey): SchemaNode[] {
  const { shape, element } = schema.def;
  const inner = typeof key === "number" ? element : shape?.[String(key)];
  return inner === undefined ? [] : [inner];
}
