// Checks, before anything is done, that every path in a recipe leads to what it should.
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { InputError } from "../errors.ts";
import { nearest } from "./recipe-nearest.ts";
import type { Recipe } from "./recipe.ts";

type Kind = "file" | "folder" | "file or folder";

/**
 * Throws `RECIPE_PATH` for the first path that is missing or of the wrong kind, naming its key and the nearest name
 * beside it. Relative paths start at the current folder.
 */
export async function checkRecipePaths(recipe: Recipe): Promise<void> {
  const { model } = recipe;
  if ("path" in model) await mustBe("folder", model.path, "model.path", "a model");
  else {
    await mustBe("folder", model.vision.path, "model.vision.path", "a vision encoder");
    await mustBe("file or folder", model.language.path, "model.language.path", "a language model");
  }
  for (const stage of recipe.stages) {
    for (const [i, source] of stage.data.entries()) {
      await mustBe("file", source.path, `stages.${stage.name}.data.${i}.path`, "samples");
      await mustBe("folder", source.images, `stages.${stage.name}.data.${i}.images`, "pictures");
    }
    const { held_out: heldOut, questions } = stage.evaluate ?? {};
    for (const [key, file] of Object.entries({ held_out: heldOut, questions })) {
      if (file === undefined || typeof file === "number") continue;
      const where = `stages.${stage.name}.evaluate.${key}`;
      await mustBe("file", file.path, `${where}.path`, key === "questions" ? "questions" : "samples");
      await mustBe("folder", file.images, `${where}.images`, "pictures");
    }
  }
}

async function mustBe(kind: Kind, path: string, key: string, holding: string): Promise<void> {
  const expected = `a ${kind} with ${holding}`;
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) {
    throw new InputError("RECIPE_PATH", { expected, got: `nothing at ${path}`, where: key, fix: await hint(path) });
  }
  const is: Kind = found.isDirectory() ? "folder" : "file";
  if (kind.includes(is)) return;
  throw new InputError("RECIPE_PATH", { expected, got: `a ${is} at ${path}`, where: key });
}

async function hint(path: string): Promise<string> {
  const siblings = await readdir(dirname(path)).catch(() => []);
  const meant = nearest(basename(path), siblings);
  const from = resolve(path) === path ? "" : ` (relative paths start at ${process.cwd()})`;
  return meant === undefined ? `check the path${from}` : `did you mean "${meant}"?${from}`;
}
