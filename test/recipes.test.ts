// The recipes that come with the project are valid, by our own rules and by the schema that editors use.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { readRecipe } from "../src/train/recipe-read.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const recipes = readdirSync(`${root}recipes`).filter((name) => name.endsWith(".yaml"));
const schema = JSON.parse(readFileSync(`${root}docs/recipe.schema.json`, "utf8")) as {
  properties: object;
  required: string[];
};

it.each(recipes)("%s", async (name) => {
  const recipe = await readRecipe(`${root}recipes/${name}`);
  expect(recipe.stages.length).toBeGreaterThan(0);
  expect(recipe.output).toBe(`runs/${recipe.name}`);
  const keys = Object.keys(parse(readFileSync(`${root}recipes/${name}`, "utf8")) as object);
  expect(Object.keys(schema.properties)).toEqual(expect.arrayContaining(keys));
  expect(keys).toEqual(expect.arrayContaining(schema.required));
  expect(readFileSync(`${root}recipes/${name}`, "utf8")).toMatch(/^# yaml-language-server: \$schema=/);
});
