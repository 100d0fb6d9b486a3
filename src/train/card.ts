// The facts of a run that its model's card tells: bases with their licences, stages, scores kept in the run's folder.
import { basename } from "node:path";
import { type CardBase, type CardStage, modelCard } from "../models/card.ts";
import { readLicence } from "../models/card-node.ts";
import type { LlavaConfig } from "../models/config.ts";
import type { Recipe, StageRecipe } from "./recipe.ts";
import { readScores } from "./report/scores.ts";

/** README.md of a run's model. Scores are those that lie in the run's folder when it is written. */
export async function runCard(recipe: Recipe, config: LlavaConfig): Promise<string> {
  const scores = await readScores(recipe.output).catch(() => []);
  return modelCard({
    name: recipe.name,
    config,
    bases: await basesOf(recipe),
    stages: recipe.stages.map(stageOf),
    scores: scores.map(
      ({ task, n, sighted, blind }) => `${task}: ${percent(sighted)}, blind ${percent(blind)} (n = ${n})`,
    ),
  });
}

const percent = (share: number | undefined): string =>
  share === undefined ? "not measured" : `${(100 * share).toFixed(1)} %`;

function basesOf({ model }: Recipe): Promise<CardBase[]> {
  const paths =
    "path" in model ? { "whole model": model.path } : { vision: model.vision.path, language: model.language.path };
  return Promise.all(
    Object.entries(paths).map(async ([part, path]) => {
      const folder = path.endsWith(".gguf") ? path.slice(0, -basename(path).length) || "." : path;
      return { part, name: basename(path), licence: await readLicence(folder) };
    }),
  );
}

function stageOf(stage: StageRecipe): CardStage {
  const { name, train, data, epochs, steps, batch_size, lora, learning_rate } = stage;
  return {
    name,
    train: train.map((part) => (lora !== undefined && part !== "vision" ? `${part} (LoRA, rank ${lora.rank})` : part)),
    data: data.map(({ path }) => basename(path)),
    length: `${epochs === undefined ? `${steps} steps` : `${epochs} epochs`}, batches of ${batch_size}`,
    learningRate: Object.values(learning_rate).map(String).join(", "),
  };
}
