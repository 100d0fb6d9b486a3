// Fills in what a stage's `evaluate` leaves open, and refuses what contradicts itself: nothing to look at, or to compare.
import { dirname } from "node:path";
import { judgedTasks } from "../data/task-names.ts";
import { given } from "./recipe-given.ts";
import { recipeError, type RecipeSource } from "./recipe-issues.ts";
import type { StageInput } from "./recipe-schema.ts";
import type { EvaluateRecipe, PicturedFile } from "./recipe.ts";

type EvaluateInput = NonNullable<StageInput["evaluate"]>;

/** Answers shown of held-out samples when the recipe names no number. */
const shownAnswers = 3;

/** Undefined for a stage that is not evaluated. Throws `RECIPE_VALUE` where keys contradict each other. */
export function resolveEvaluate(
  { evaluate, images }: StageInput,
  index: number,
  source: RecipeSource,
): EvaluateRecipe | undefined {
  if (evaluate === undefined) return undefined;
  refuseContradictions(evaluate, index, source);
  const { every, held_out: heldOut, questions, answers, best, stop_after: stopAfter, keep } = evaluate;
  return {
    every,
    ...given("held_out", typeof heldOut === "number" ? heldOut : fileOf(heldOut, images)),
    ...given("questions", questionsOf(questions, images)),
    answers: answers ?? (heldOut === undefined ? 0 : shownAnswers),
    best: best ?? (heldOut === undefined ? "score" : "loss"),
    ...given("stop_after", stopAfter),
    keep: keep ?? (stopAfter === undefined ? "last" : "best"),
  };
}

function fileOf(
  file: string | { readonly path: string; readonly images?: string | undefined } | undefined,
  images: string | undefined,
): PicturedFile | undefined {
  if (file === undefined) return undefined;
  const { path, images: own } = typeof file === "string" ? { path: file, images: undefined } : file;
  return { path, images: own ?? images ?? dirname(path) };
}

function questionsOf(questions: EvaluateInput["questions"], images: string | undefined): EvaluateRecipe["questions"] {
  const file = fileOf(questions, images);
  if (file === undefined || questions === undefined) return undefined;
  const { task, limit } = typeof questions === "string" ? { task: "pope" as const, limit: undefined } : questions;
  return { ...file, task, ...given("limit", limit) };
}

function refuseContradictions(
  { held_out: heldOut, questions, answers, best }: EvaluateInput,
  index: number,
  source: RecipeSource,
): void {
  const path = ["stages", index, "evaluate"];
  if (heldOut === undefined && questions === undefined) {
    throw recipeError(source, path, "held_out, questions, or both", "neither");
  }
  if (heldOut === undefined && answers !== undefined && answers > 0) {
    throw recipeError(source, [...path, "answers"], "held_out, to ask about its samples", `${answers} without it`);
  }
  const task = typeof questions === "object" ? questions.task : undefined;
  if (task !== undefined && judgedTasks.includes(task)) {
    const fix = "ask its questions afterwards: llava eval, then llava eval judge";
    throw recipeError(source, [...path, "questions", "task"], "a task that needs no judge", task, fix);
  }
  if (best === "loss" && heldOut === undefined) {
    throw recipeError(source, [...path, "best"], "held_out, to have a loss to compare", "none");
  }
  if (best === "score" && questions === undefined) {
    throw recipeError(source, [...path, "best"], "questions, to have a score to compare", "none");
  }
}
