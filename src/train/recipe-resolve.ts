// Fills in what a recipe leaves open, and refuses what no single key can tell: two lengths, rates for frozen parts.
import { dirname, join } from "node:path";
import type { InputError } from "../errors.ts";
import { resolveEvaluate } from "./recipe-evaluate.ts";
import { given } from "./recipe-given.ts";
import { type Lora, loraParts, loraTargets } from "../models/lora.ts";
import { recipeError, type RecipeSource } from "./recipe-issues.ts";
import type { RecipeInput, StageInput } from "./recipe-schema.ts";
import type { ContinuedModel, DataSource, NewModel, Part, Recipe, StageRecipe } from "./recipe.ts";

/** The recipe with every default filled in. Throws `RECIPE_VALUE` where keys contradict each other. */
export function resolveRecipe(input: RecipeInput, source: RecipeSource): Recipe {
  const output = input.output ?? `runs/${input.name}`;
  return {
    name: input.name,
    model: resolveModel(input.model),
    stages: input.stages.map((stage, index) => {
      refuseContradictions(input.stages, index, source);
      return {
        ...resolveStage(stage, input, resolveRates(stage, index, source)),
        ...given("evaluate", resolveEvaluate(stage, index, source)),
      };
    }),
    output,
    seed: input.seed,
    cache: input.cache ?? join(dirname(output), ".cache"),
  };
}

function resolveModel(model: RecipeInput["model"]): NewModel | ContinuedModel {
  const optional = { ...given("template", model.template), ...given("new_tokens", model.new_tokens) };
  if ("path" in model) return { path: model.path, ...optional };
  const { fit, tiles, ...vision } = model.vision;
  return {
    vision: { ...vision, ...given("fit", fit), ...given("tiles", tiles) },
    projector: model.projector ?? { kind: "mlp2x_gelu", pixel_shuffle: 1 },
    language: model.language,
    ...optional,
  };
}

function resolveStage(stage: StageInput, recipe: RecipeInput, rates: StageRecipe["learning_rate"]): StageRecipe {
  const {
    data,
    images,
    epochs,
    steps,
    template,
    limit,
    evaluate: _,
    seed,
    lora,
    quantize,
    share_pictures,
    ...settled
  } = stage;
  return {
    ...settled,
    data: resolveData(data, images),
    train: [...new Set(stage.train)],
    ...given("lora", lora && resolveLora(lora)),
    ...given("quantize", quantize),
    ...given("share_pictures", share_pictures > 1 ? share_pictures : undefined),
    learning_rate: rates,
    ...(steps === undefined ? { epochs: epochs ?? 1 } : { steps }),
    ...given("template", template ?? recipe.model.template),
    ...given("limit", limit),
    seed: seed ?? recipe.seed,
  };
}

/** LLaVA scales its adapters by 2 (LLaVA-1.5's LoRA scripts: rank 128, alpha 256). */
function resolveLora({ rank, alpha, targets }: NonNullable<StageInput["lora"]>): Lora {
  return { rank, alpha: alpha ?? 2 * rank, targets: targets === "all" ? loraTargets.language : targets };
}

function resolveData(data: StageInput["data"], images: string | undefined): DataSource[] {
  return [data].flat().map((each) => {
    if (typeof each === "string") return { path: each, images: images ?? dirname(each), weight: 1, mirror: false };
    const { path, weight, mirror, limit } = each;
    return { path, images: each.images ?? images ?? dirname(path), weight, mirror, ...given("limit", limit) };
  });
}

/**
 * One rate per trained part. LLaVA-1.5 aligns at 1e-3 and trains adapters at 2e-4; small language models bear 1e-4 where 7B ones take 2e-5; a tower
 * learns at a fifth of that (LLaVA-NeXT trains its own at 2e-6 beside 1e-5).
 */
function resolveRates(stage: StageInput, index: number, source: RecipeSource): StageRecipe["learning_rate"] {
  const usual = stage.train.every((part) => part === "projector") ? 1e-3 : stage.lora ? 2e-4 : 1e-4;
  const rate: number | StageRecipe["learning_rate"] =
    stage.learning_rate ?? Object.fromEntries(stage.train.map((part) => [part, part === "vision" ? usual / 5 : usual]));
  if (typeof rate === "number") return Object.fromEntries(stage.train.map((part) => [part, rate]));
  const path = ["stages", index, "learning_rate"];
  for (const part of Object.keys(rate) as Part[]) {
    if (stage.train.includes(part)) continue;
    const expected = `rates for the trained parts (${stage.train.join(", ")})`;
    throw recipeError(source, [...path, part], expected, `one for ${part}, which stays frozen`);
  }
  const missing = stage.train.find((part) => rate[part] === undefined);
  if (missing === undefined) return rate as StageRecipe["learning_rate"];
  throw recipeError(source, path, `a rate for every trained part (${stage.train.join(", ")})`, `none for ${missing}`);
}

function refuseContradictions(stages: readonly StageInput[], index: number, source: RecipeSource): void {
  const stage = stages[index];
  const fail = (key: string, expected: string, got: string): InputError =>
    recipeError(source, ["stages", index, key], expected, got);
  if (stage?.epochs !== undefined && stage.steps !== undefined) {
    throw fail("steps", "either epochs or steps", "both");
  }
  refuseAdapters(stage, fail);
  const twin = stages.findIndex((other) => other.name === stage?.name);
  if (twin !== index) throw fail("name", "a name of its own for each stage", `${stage?.name} twice`);
}

/** Adapters belong to trained parts, and weights in 4 bits cannot learn. */
function refuseAdapters(
  stage: StageInput | undefined,
  fail: (key: string, expected: string, got: string) => InputError,
): void {
  if (stage === undefined) return;
  const adapted = stage.lora ? loraParts(resolveLora(stage.lora)) : [];
  const frozen = adapted.find((part) => !stage.train.includes(part));
  if (frozen !== undefined) throw fail("lora", "targets in trained parts", `some of the ${frozen}, which train lacks`);
  if (stage.quantize !== undefined && stage.train.includes("language") && !adapted.includes("language"))
    throw fail("quantize", "a language model that is frozen or trained by lora", "one whose weights are trained");
}
