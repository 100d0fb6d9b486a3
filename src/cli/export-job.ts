// `llava export RECIPE --to job`: a recipe as a folder that PyTorch trains elsewhere.
import { SHARD_BYTES } from "../export/export.ts";
import { exportJob } from "../export/job/job.ts";
import { createEngine } from "../runtime/node.ts";
import { checkRecipePaths } from "../train/recipe-paths.ts";
import { readRecipe } from "../train/recipe-read.ts";
import type { ExportFlags } from "./export.ts";
import { print, printJson } from "./output.ts";
import { type Progress, startProgress } from "./progress.ts";

export async function exportRecipe(path: string, flags: ExportFlags): Promise<void> {
  const { out, to, set, threads, shardSize = SHARD_BYTES, force = false, json } = flags;
  const recipe = await readRecipe(path, set);
  await checkRecipePaths(recipe);
  const shown = new Map<string, Progress>();
  const onProgress = (part: "tensors" | "pictures", done: number, total: number): void => {
    const progress = shown.get(part) ?? startProgress({ label: "exporting", unit: part, total });
    shown.set(part, progress);
    progress.update(done);
    if (done === total) progress.finish();
  };
  const engine = await createEngine(threads === undefined ? {} : { threads });
  try {
    await exportJob(recipe, { out, engine, shardBytes: shardSize, force, onProgress });
  } finally {
    await engine.close();
  }
  if (json) printJson({ job: out, to });
  else print(out);
}
