// `llava train --plan`: what each stage of a recipe will take, and why so; nothing is trained or written.
import { createEngine } from "../runtime/node.ts";
import { planRun, type StagePrediction } from "../train/plan-run.ts";
import type { Recipe } from "../train/recipe.ts";
import type { StageSums } from "../train/stage-data.ts";
import { grouped, print, printJson, showBytes, showSeconds, table } from "./output.ts";
import { log } from "./progress.ts";

export async function showPlan(
  recipe: Recipe,
  { threads, json }: { readonly threads?: number; readonly json?: boolean },
): Promise<void> {
  const engine = await createEngine(threads === undefined ? {} : { threads });
  try {
    log("Timing a step of each stage on small models of the same widths …");
    const stages = await planRun(recipe, engine);
    if (json) printJson({ stages });
    else print(planTable(stages));
  } finally {
    await engine.close();
  }
}

/** What sharing pictures leaves out. */
function sharingNote({ sharing, tokens, tokens_saved: saved = 0 }: StageSums): string {
  if (sharing === undefined) return "";
  const part = ((100 * saved) / tokens).toFixed(0);
  return `; ${grouped(sharing)} samples share pictures, which saves ${grouped(saved)} of the tokens (${part} %)`;
}

const heads = ["stage", "samples", "tokens", "trained", "rows", "steps", "time", "peak memory", "activations"];

function planTable(stages: readonly StagePrediction[]): string {
  const rows = stages.map(({ stage, sums, seconds, peak_bytes: peak, memory }) => [
    stage,
    ...[sums.samples, sums.tokens, sums.supervised_tokens, sums.rows, sums.steps].map(grouped),
    showSeconds(seconds),
    showBytes(peak),
    memory.activations === "keep" ? "kept" : "computed again",
  ]);
  const reasons = stages.map(({ stage, why, sums }) => `${stage}: ${why}${sharingNote(sums)}`);
  const sum = stages.reduce((total, { seconds }) => total + seconds, 0);
  const notes = `Tokens and rows are of one epoch. ${showSeconds(sum)} in all, without features that are not cached yet, checkpoints and evaluations.`;
  return `${table([heads, ...rows], [1, 2, 3, 4, 5, 6, 7])}\n\n${reasons.join("\n")}\n${notes}`;
}
