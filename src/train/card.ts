// The facts of a run that its model's card tells: bases with their licences, stages, scores kept in the run's folder.
import { basename, join } from "node:path";
import { writeFileAtomic } from "../formats/node.ts";
import { type CardBase, type CardStage, modelCard, withScores } from "../models/card.ts";
import { readCard, readLicence } from "../models/card-node.ts";
import type { LlavaConfig } from "../models/config.ts";
import type { Recipe, StageRecipe } from "./recipe.ts";
import type { Score } from "./report/data.ts";
import { readScores } from "./report/scores.ts";

/** Bases and stages of a recipe, as cards tell them. */
export async function runFacts(recipe: Recipe): Promise<{ readonly bases: CardBase[]; readonly stages: CardStage[] }> {
  return { bases: await basesOf(recipe), stages: recipe.stages.map(stageOf) };
}

/** README.md of a run's model. Scores are those that lie in the run's folder when it is written. */
export async function runCard(recipe: Recipe, config: LlavaConfig): Promise<string> {
  const scores = await readScores(recipe.output).catch(() => []);
  return modelCard({
    name: recipe.name,
    config,
    ...(await runFacts(recipe)),
    scores: scores.map(scoreLine),
  });
}

/** Puts a run's scores into the card of its model, where that has a place for them; says whether it had. */
export async function rewriteScores(run: string): Promise<boolean> {
  const folder = join(run, "model");
  const [card, scores] = [await readCard(folder), await readScores(run)];
  const changed = card === undefined || scores.length === 0 ? undefined : withScores(card, scores.map(scoreLine));
  if (changed === undefined) return false;
  await writeFileAtomic(join(folder, "README.md"), changed);
  return true;
}

/** "pope: 81.8 % (78.1 to 85.2), blind 69.9 % (65.8 to 74.0); 500 questions, intervals of 95 %" */
function scoreLine({ task, n, sighted, blind, intervals = {} }: Score): string {
  const side = (share: number | undefined, interval: readonly [number, number] | undefined): string => {
    if (share === undefined) return "not measured";
    const ends = interval === undefined ? "" : ` (${interval.map((end) => (100 * end).toFixed(1)).join(" to ")})`;
    return `${(100 * share).toFixed(1)} %${ends}`;
  };
  const how = (intervals.sighted ?? intervals.blind) ? ", intervals of 95 %" : "";
  return `${task}: ${side(sighted, intervals.sighted)}, blind ${side(blind, intervals.blind)}; ${n} questions${how}`;
}

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
