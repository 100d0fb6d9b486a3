// A run whose samples share their pictures: it learns what it learns without, and reads fewer tokens.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeSamples } from "../src/data/samples.ts";
import type { Engine } from "../src/runtime/engine.ts";
import { createDirectEngine } from "../src/runtime/node.ts";
import type { TrainEvent } from "../src/train/events.ts";
import { type Metrics, readMetrics } from "../src/train/metrics.ts";
import { parseRecipe } from "../src/train/recipe-read.ts";
import type { Recipe } from "../src/train/recipe.ts";
import { train } from "../src/train/run.ts";
import { weightsHash, writeTinyProject } from "./tiny-bases.ts";

let folder: string;
let engine: Engine;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-share-"));
  engine = await createDirectEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(folder, { recursive: true, force: true });
});

/** Two stages over eight questions about one picture: shared or not, every step reads the same samples. */
async function recipeOf(name: string, share: number): Promise<Recipe> {
  const text = await writeTinyProject(folder, name);
  const samples = Array.from({ length: 8 }, (_, i) => ({
    id: `s${i}`,
    images: ["5.png"],
    conversations: [
      { from: "human" as const, value: `<image>\nWhat is ${i} and ${i}?` },
      { from: "gpt" as const, value: `It is ${2 * i}` },
    ],
    extra: {},
    where: "",
  }));
  await writeSamples(join(folder, "samples.json"), samples);
  const sets = ["align", "instruct"].flatMap((stage) => [
    `stages.${stage}.share_pictures=${share}`,
    `stages.${stage}.evaluate={ every: 2, answers: 0, held_out: ${join(folder, "samples.json")} }`,
  ]);
  return parseRecipe(text, `${name}.yaml`, [...sets, "stages.align.batch_size=4"]);
}

const metricsOf = ({ output }: Recipe): Promise<Metrics> => readMetrics(join(output, "metrics.jsonl"));

it("ends with the losses of a run without, over fewer tokens, and says so beforehand", async () => {
  const [own, shared] = [await recipeOf("own", 1), await recipeOf("shared", 4)];
  const events: TrainEvent[] = [];
  await train(own, { engine });
  await train(shared, { engine, onEvent: (event) => events.push(event) });
  const [before, after] = [await metricsOf(own), await metricsOf(shared)];
  expect(after.steps).toHaveLength(before.steps.length);
  for (const [i, { loss, grad_norm, tokens, supervised_tokens }] of after.steps.entries()) {
    const apart = before.steps[i]!;
    expect(Math.abs(loss / apart.loss - 1)).toBeLessThan(1e-4);
    expect(Math.abs(grad_norm / apart.grad_norm - 1)).toBeLessThan(1e-2);
    expect(supervised_tokens).toBe(apart.supervised_tokens);
    // the last step has but one sample left
    if (i < after.steps.length - 1) expect(tokens).toBeLessThan(apart.tokens);
    else expect(tokens).toBe(apart.tokens);
  }
  for (const [i, { held_out_loss: loss }] of after.evaluations.entries())
    expect(Math.abs(loss! / before.evaluations[i]!.held_out_loss! - 1)).toBeLessThan(1e-4);
  const checked = events.filter((event) => event.type === "checked");
  const steps = after.steps.filter(({ stage, step }) => stage === "align" && step <= 2);
  const { tokens, tokens_saved: saved, sharing } = checked[0]!.sums;
  expect([sharing, tokens - saved!]).toEqual([8, steps.reduce((sum, step) => sum + step.tokens, 0)]);
  expect(checked[0]!.masks[0]!.pieces.at(-1)!.branch).toBe(4);
});

class Crash extends Error {}

it("resumes bit for bit", async () => {
  const recipe = await recipeOf("crash", 4);
  const onEvent = (event: TrainEvent): void => {
    if (event.type === "step" && event.metrics.stage === "instruct" && event.metrics.step === 4) throw new Crash();
  };
  await expect(train(recipe, { engine, onEvent })).rejects.toThrow(Crash);
  await train(recipe, { engine, resume: true });
  const hash = (of: Recipe): Promise<string> => weightsHash(join(of.output, "model"));
  expect(await hash(recipe)).toBe(await hash(await recipeOf("shared", 4)));
  const other = await recipeOf("crash", 2);
  await expect(train(other, { engine, resume: true })).rejects.toThrow(/share_pictures 4 → 2/);
});
