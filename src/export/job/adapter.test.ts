// A job whose stage trains an adapter: what is handed over, what comes back, and what is refused.
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeTinyProject } from "../../../test/tiny-bases.ts";
import { readAdapter } from "../../models/adapter-node.ts";
import { openLlava } from "../../models/node.ts";
import { createDirectEngine } from "../../runtime/direct-node.ts";
import { freshAdapter } from "../../train/adapted-part.ts";
import { parseRecipe } from "../../train/recipe-read.ts";
import { importJob } from "./import.ts";
import { exportJob } from "./job.ts";
import type { Job } from "./job-file.ts";

const lora = { rank: 3, alpha: 9, targets: ["q_proj", "down_proj"] as const };
const engine = await createDirectEngine({ threads: 1 });
let root: string;
let job: string;
let seed: number;
const at = (...names: string[]): string => join(root, ...names);
const readJob = async (folder: string): Promise<Job> =>
  JSON.parse(await readFile(join(folder, "job.json"), "utf8")) as Job;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "job-adapter-"));
  const text = await writeTinyProject(root, "tiny");
  const plain = ["model.projector.pixel_shuffle=1"];
  const whole = parseRecipe(text, "tiny.yaml", plain);
  seed = whole.stages[1]!.seed;
  await exportJob(whole, { out: at("job"), engine, shardBytes: 1e6 });
  job = at("adapted");
  const changes = [...plain, `stages.instruct.lora=${JSON.stringify(lora)}`];
  await exportJob(parseRecipe(text, "tiny.yaml", changes), { out: job, engine, shardBytes: 1e6 });
});
afterAll(async () => {
  await engine.close();
  await rm(root, { recursive: true });
});

/** As train.py leaves it, nothing having been learned. */
async function finished(name: string, change: (config: string) => string = (config) => config): Promise<string> {
  const [folder, model] = [at(name), join(at(name), "out", "model")];
  await cp(job, folder, { recursive: true });
  await cp(join(job, "checkpoint"), model, { recursive: true });
  await cp(join(job, "data", "adapter-instruct"), model, { recursive: true });
  const config = join(model, "adapter_config.json");
  await writeFile(config, change(await readFile(config, "utf8")));
  await writeFile(join(folder, "out", "run.json"), "{}");
  return folder;
}

it("has the factors that we begin with, as PEFT reads them, and asks for PEFT", async () => {
  const { stages } = await readJob(job);
  expect(stages.map((stage) => stage.lora)).toEqual([
    undefined,
    { ...lora, parts: ["language"], start: "data/adapter-instruct" },
  ]);
  const files = await openLlava(join(job, "checkpoint"));
  const start = await readAdapter(join(job, "data", "adapter-instruct"), files);
  const ours = freshAdapter(files.language.shapes, lora, seed);
  expect([...start.parts.language!.shapes].sort()).toEqual([...ours.shapes].sort());
  for (const name of ours.shapes.keys()) expect(await start.parts.language!.load(name)).toEqual(await ours.load(name));
  await files.close();
  expect(await readFile(join(job, "requirements.txt"), "utf8")).toContain("peft>=");
  expect(await readFile(at("job", "requirements.txt"), "utf8")).not.toContain("peft");
  expect(await readFile(join(job, "README.md"), "utf8")).toContain("| projector, language (LoRA, rank 3) |");
  // B is zero: an adapter that has learned nothing changes no loss
  expect(stages[1]!.expected_loss).toBe((await readJob(at("job"))).stages[1]!.expected_loss);
});

it("comes back as an adapter beside the weights", async () => {
  await importJob(await finished("adapted-back"), { out: at("adapted-model"), shardBytes: 1e6, dtype: "F16" });
  const files = await openLlava(at("adapted-model"), { adapter: false });
  const adapter = await readAdapter(at("adapted-model"), files);
  expect(adapter.lora).toMatchObject({ rank: 3, alpha: 9 });
  expect([...adapter.parts.language!.shapes.keys()]).toHaveLength(2 * 2 * files.config.language.layers);
  await files.close();
  const { base_model_name_or_path: base } = JSON.parse(
    await readFile(at("adapted-model", "adapter_config.json"), "utf8"),
  ) as { base_model_name_or_path: string };
  expect(base).toBe(at("adapted-model"));
});

it.each([
  ["another alpha", (config: string) => config.replace('"lora_alpha": 9', '"lora_alpha": 8'), "JOB_MODEL"],
  ["another rank", (config: string) => config.replace('"r": 3', '"r": 2'), "ADAPTER_MISMATCH"],
  ["another kind", (config: string) => config.replace('"use_dora": false', '"use_dora": true'), "ADAPTER_CONFIG"],
])("is refused where it is %s", async (name, change, code) => {
  const folder = await finished(name.replace(" ", "-"), change);
  await expect(importJob(folder, { out: at("never"), shardBytes: 1e6 })).rejects.toMatchObject({ code, exitCode: 2 });
});

it("is refused where its adapter is missing, or one of other layers", async () => {
  const folder = await finished("missing");
  const imported = () => importJob(folder, { out: at("never"), shardBytes: 1e6 });
  const told = await readJob(folder);
  const other = { ...told.stages[1]!, lora: { ...told.stages[1]!.lora, targets: ["q_proj", "v_proj"] } };
  await writeFile(join(folder, "job.json"), JSON.stringify({ ...told, stages: [told.stages[0], other] }));
  await expect(imported()).rejects.toMatchObject({ code: "JOB_MODEL" });
  await rm(join(folder, "out", "model", "adapter_model.safetensors"));
  await expect(imported()).rejects.toMatchObject({ code: "ADAPTER_MISSING" });
  expect(await readdir(root)).not.toContain("never");
});
