// Writes docs/recipe.schema.json, which editors complete and check recipes with; `--check` only tells whether it is up to date.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { z } from "zod";
import { build, isStale } from "./build.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const path = resolve(root, "docs/recipe.schema.json");

if (isStale()) build();
const { recipeSchema } = await import(pathToFileURL(resolve(root, "dist/train/recipe-schema.js")).href);
const { $schema, ...schema } = z.toJSONSchema(recipeSchema, { io: "input" });
const text = `${JSON.stringify({ $schema, title: "llava recipe", ...schema }, null, 2)}\n`;

if (!process.argv.includes("--check")) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
} else if (!existsSync(path) || readFileSync(path, "utf8") !== text) {
  console.error("docs/recipe.schema.json is out of date: node scripts/recipe-schema.mjs");
  process.exitCode = 1;
}
