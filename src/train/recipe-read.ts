// A recipe from a YAML file and --set overrides: parsed, checked key by key, defaults filled in.
import { readFile, stat } from "node:fs/promises";
import { LineCounter, parseDocument, type Document } from "yaml";
import { InputError } from "../errors.ts";
import { explainIssues, type RecipeSource } from "./recipe-issues.ts";
import { applyOverrides } from "./recipe-overrides.ts";
import { resolveRecipe } from "./recipe-resolve.ts";
import { recipeSchema } from "./recipe-schema.ts";
import type { Recipe } from "./recipe.ts";

// a recipe is a page of text: more is some other file
const MAX_BYTES = 1 << 20;

/**
 * Reads a recipe and applies `--set` overrides such as `stages.align.epochs=1`.
 * @throws InputError RECIPE_FILE, RECIPE_YAML, RECIPE_UNKNOWN_KEY, RECIPE_VALUE, RECIPE_OVERRIDE
 */
export async function readRecipe(path: string, overrides: readonly string[] = []): Promise<Recipe> {
  return parseRecipe(await readText(path), path, overrides);
}

/** A recipe from YAML text; `file` is its name in errors. Errors as in `readRecipe`. */
export function parseRecipe(text: string, file: string, overrides: readonly string[] = []): Recipe {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  refuseBadYaml(document, file, lines);
  const source: RecipeSource = { file, document, lines, overridden: applyOverrides(document, overrides, file) };
  const parsed = recipeSchema.safeParse(toPlain(document, file));
  if (!parsed.success) throw explainIssues(parsed.error.issues, source);
  return resolveRecipe(parsed.data, source);
}

async function readText(path: string): Promise<string> {
  const fail = (got: string, cause?: unknown) =>
    new InputError("RECIPE_FILE", { expected: "a YAML file with a recipe", got, where: path, cause });
  try {
    const { size } = await stat(path);
    if (size > MAX_BYTES) throw fail(`${size} bytes where a recipe has at most ${MAX_BYTES}`);
    return await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    throw fail(code === "ENOENT" ? "no such file" : code === "EISDIR" ? "a folder" : String(code), cause);
  }
}

function refuseBadYaml(document: Document.Parsed, file: string, lines: LineCounter): void {
  const error = document.errors[0];
  if (error === undefined) return;
  const { line, col } = lines.linePos(error.pos[0]);
  throw new InputError("RECIPE_YAML", {
    expected: "valid YAML",
    got: error.message.split("\n")[0] ?? error.code,
    where: `${file}:${line}:${col}`,
  });
}

function toPlain(document: Document.Parsed, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    // an alias without its anchor, or a bomb of aliases
    throw new InputError("RECIPE_YAML", { expected: "valid YAML", got: (cause as Error).message, where: file, cause });
  }
}
