// `llava train --sweep`: runs every variant of a recipe into a folder of its own, and compares what came of them.
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BugError, InputError, LlavaError, RunError } from "../errors.ts";
import { writeFileAtomic } from "../formats/node.ts";
import { writeComparison } from "../train/report/compare-write.ts";
import { thumbnailShelf } from "../image/thumbnails-node.ts";
import { checkRecipePaths } from "../train/recipe-paths.ts";
import { readRecipe } from "../train/recipe-read.ts";
import { formatRecipe, type Recipe } from "../train/recipe.ts";
import { runFigures, sortResults, type SortKey, type SweepResult } from "../train/sweep-results.ts";
import { sweepVariants, type Variant } from "../train/sweep.ts";
import { describeFailure } from "./failure.ts";
import { grouped, showSeconds, table } from "./output.ts";
import { log } from "./progress.ts";

export interface SweepOptions {
  readonly sweep: readonly string[];
  readonly set?: readonly string[];
  readonly resume?: boolean;
  /** trains one recipe, going on with what its folder holds */
  readonly run: (recipe: Recipe) => Promise<unknown>;
}

export interface Sweep {
  /** the best first */
  readonly results: readonly SweepResult[];
  readonly sortedBy: SortKey;
  /** all results as JSON */
  readonly path: string;
}

interface Planned {
  readonly variant: Variant;
  readonly recipe: Recipe;
}

/**
 * Trains all variants, one after the other, below the recipe's output folder. All recipes are checked before the first
 * is trained; a variant that fails does not hold up the others. Variants that finished before are not trained again.
 */
export async function runSweep(path: string, options: SweepOptions): Promise<Sweep> {
  const base = await readRecipe(path, options.set);
  const planned = await planVariants(path, base, options);
  if (!options.resume) await refuseExisting(base.output);
  const sortedBy = sortKey(planned[0]!.recipe);
  const results: SweepResult[] = [];
  const file = join(base.output, "sweep.json");
  let [spent, trained] = [0, 0];
  for (const [i, { variant, recipe }] of planned.entries()) {
    const done = await isFinished(recipe);
    const left = trained === 0 || done ? "" : `, about ${showSeconds((spent / trained) * (planned.length - i))} left`;
    log(`\nvariant ${i + 1} of ${planned.length}: ${variant.name}${done ? ", done before" : left}`);
    const started = performance.now();
    const failed = done ? undefined : await attempt(() => options.run(recipe));
    // nothing goes on from a finished variant, and twenty of them would fill a disk
    if (failed === undefined) await rm(join(recipe.output, "checkpoints"), { recursive: true, force: true });
    if (!done) [spent, trained] = [spent + (performance.now() - started) / 1000, trained + 1];
    results.push(await resultOf(variant, recipe, failed));
    await writeFileAtomic(file, `${JSON.stringify(sortResults(results, sortedBy), null, 2)}\n`);
  }
  return { results: sortResults(results, sortedBy), sortedBy, path: file };
}

async function resultOf(
  { name, values }: Variant,
  { output, stages }: Recipe,
  failed: string | undefined,
): Promise<SweepResult> {
  const about = { name, values, output };
  if (failed !== undefined) return { ...about, failed };
  // the model that the figures belong to
  const model = join(output, stages.at(-1)!.evaluate?.keep === "last" ? "model-best" : "model");
  return { ...about, model, ...(await runFigures(join(output, "metrics.jsonl"))) };
}

/** Every variant's recipe, read and checked. */
async function planVariants(path: string, base: Recipe, { sweep, set = [] }: SweepOptions): Promise<Planned[]> {
  const planned: Planned[] = [];
  for (const variant of sweepVariants(sweep)) {
    const read = await readRecipe(path, [...set, ...variant.overrides]);
    // features are shared: most variants see the same pictures
    const recipe = { ...read, output: join(base.output, variant.name), cache: base.cache };
    await checkRecipePaths(recipe);
    planned.push({ variant, recipe });
  }
  return planned;
}

async function refuseExisting(output: string): Promise<void> {
  const present = await readdir(output).catch(() => []);
  if (present.length === 0) return;
  throw new InputError("OUTPUT_EXISTS", {
    expected: "a new output folder",
    got: `one that holds ${present.slice(0, 3).join(", ")}`,
    where: output,
    fix: "go on with --resume, name another --set output=…, or remove the folder",
  });
}

/** A model stands at the end of a run, and recipe.yaml says whose. */
async function isFinished(recipe: Recipe): Promise<boolean> {
  const model = await stat(join(recipe.output, "model")).catch(() => undefined);
  const written = await readFile(join(recipe.output, "recipe.yaml"), "utf8").catch(() => undefined);
  return model !== undefined && written === formatRecipe(recipe);
}

/** What went wrong, if anything. A mistake of the program and an interruption end the sweep. */
async function attempt(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (!(error instanceof LlavaError) || error instanceof BugError) throw error;
    const failure = describeFailure(error)!;
    log(failure);
    return failure;
  }
}

/** By what the last evaluated stage calls better. */
function sortKey({ stages }: Recipe): SortKey {
  const evaluate = stages.findLast((stage) => stage.evaluate !== undefined)?.evaluate;
  if (evaluate === undefined) return "loss";
  return evaluate.best === "loss" ? "held_out_loss" : "score";
}

/** A row for each variant, the best first; only columns that have something in them. */
export function sweepTable(results: readonly SweepResult[]): string {
  const keys = Object.keys(results[0]?.values ?? {});
  const columns: readonly (readonly [string, (result: SweepResult) => string | undefined])[] = [
    ["held-out loss", ({ held_out_loss: loss }) => loss?.toFixed(4)],
    ["score", ({ score }) => (score === undefined ? undefined : `${(100 * score).toFixed(1)} %`)],
    ["at step", ({ best_step: step }) => (step === undefined ? undefined : grouped(step))],
    ["training loss", ({ loss }) => loss?.toFixed(4)],
    ["time", ({ seconds }) => (seconds === undefined ? undefined : showSeconds(seconds))],
    ["", ({ failed }) => (failed === undefined ? undefined : "failed")],
  ];
  const shown = columns.filter(([, show]) => results.some((result) => show(result) !== undefined));
  const head = [...keys, ...shown.map(([name]) => name)];
  const rows = results.map((result) => [
    ...keys.map((key) => result.values[key]!),
    ...shown.map(([, show]) => show(result) ?? ""),
  ]);
  return table(
    [head, ...rows],
    head.map((_, i) => i),
  );
}

/** One page about all variants that finished, beside the results; undefined where there are not two. */
export async function compareVariants({ results, path }: Sweep): Promise<string | undefined> {
  const finished = results.filter((result) => result.failed === undefined).map(({ output }) => output);
  if (finished.length < 2) return undefined;
  const page = join(dirname(path), "comparison.html");
  await writeComparison(finished, thumbnailShelf(), page);
  return page;
}

/** Throws `SWEEP_FAILED` when a variant did. */
export function refuseFailures({ results }: Sweep): void {
  const failed = results.filter((result) => result.failed !== undefined);
  if (failed.length === 0) return;
  throw new RunError("SWEEP_FAILED", {
    expected: `${results.length} variants to finish`,
    got: `${failed.length} that failed, the first with ${failed[0]!.failed}`,
    where: failed.map(({ name }) => name).join("; "),
    fix: "go on with --resume when the cause is gone",
  });
}
