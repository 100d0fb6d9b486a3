import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeTinyProject } from "../../test/tiny-bases.ts";
import { RunError } from "../errors.ts";
import type { Engine } from "../runtime/engine.ts";
import { createDirectEngine } from "../runtime/node.ts";
import type { Recipe } from "../train/recipe.ts";
import { train } from "../train/run.ts";
import { refuseFailures, runSweep, type Sweep, sweepTable } from "./train-sweep.ts";

let folder: string;
let engine: Engine;
let path: string;
const trained: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-sweep-"));
  engine = await createDirectEngine({ threads: 1 });
  path = join(folder, "recipe.yaml");
  await writeFile(path, await writeTinyProject(folder, "swept"));
});
afterAll(async () => {
  await engine.close();
  await rm(folder, { recursive: true, force: true });
});

class Stop extends Error {}

/** Sweeps two rates; `stopAt` cuts that training off at its second step, `failAt` lets it fail. */
function sweep({ resume = false, stopAt = "", failAt = "" } = {}): Promise<Sweep> {
  return runSweep(path, {
    sweep: ["stages.instruct.learning_rate=1e-5,1e-2"],
    set: ["stages.instruct.evaluate={ every: 4, held_out: 3, answers: 0 }"],
    resume,
    run: async (recipe: Recipe) => {
      trained.push(recipe.output.split("/").at(-1)!);
      if (failAt !== "" && recipe.output.endsWith(failAt)) {
        throw new RunError("TRAIN_NOT_FINITE", { expected: "a finite loss", got: "NaN" });
      }
      await train(recipe, {
        engine,
        resume: true,
        onEvent: (event) => {
          if (stopAt !== "" && recipe.output.endsWith(stopAt) && event.type === "step") throw new Stop("stop");
        },
      });
    },
  });
}

it("trains every variant once, whatever happens between, and compares them", async () => {
  await expect(sweep({ stopAt: "=1e-2" })).rejects.toThrow(Stop);
  expect(trained.splice(0)).toEqual(["learning_rate=1e-5", "learning_rate=1e-2"]);
  await expect(sweep()).rejects.toMatchObject({ code: "OUTPUT_EXISTS" });
  const failing = await sweep({ resume: true, failAt: "=1e-2" });
  expect(trained.splice(0)).toEqual(["learning_rate=1e-2"]);
  expect(failing.results.map(({ failed }) => failed)).toEqual([undefined, expect.stringContaining("TRAIN_NOT_FINITE")]);
  expect(() => refuseFailures(failing)).toThrow(expect.objectContaining({ code: "SWEEP_FAILED", exitCode: 1 }));
  expect(sweepTable(failing.results)).toMatch(/learning_rate .*held-out loss.*\n.*1e-5 .*\n.*1e-2 .*failed/);

  const done = await sweep({ resume: true });
  expect(trained.splice(0)).toEqual(["learning_rate=1e-2"]);
  refuseFailures(done);
  expect(done.sortedBy).toBe("held_out_loss");
  // the higher rate learns in so few steps, the lower does not
  expect(done.results.map(({ values }) => values)).toEqual([{ learning_rate: "1e-2" }, { learning_rate: "1e-5" }]);
  expect(done.results[0]!.held_out_loss).toBeLessThan(done.results[1]!.held_out_loss!);
  expect(await readdir(done.results[0]!.model!)).toContain("model.safetensors");
  expect(await readdir(done.results[0]!.output)).not.toContain("checkpoints");
  expect(JSON.parse(await readFile(done.path, "utf8"))).toEqual(done.results);

  expect(await sweep({ resume: true })).toEqual(done);
  expect(trained).toEqual([]);
});

it("trains nothing when one of the variants is wrong", async () => {
  const run = (): Promise<never> => expect.fail("trained");
  const wrong = runSweep(path, { sweep: ["stages.instruct.batch_size=4,none"], set: [`output=${folder}/wrong`], run });
  await expect(wrong).rejects.toMatchObject({ code: "RECIPE_VALUE" });
  expect(await readdir(folder)).not.toContain("wrong");
});
