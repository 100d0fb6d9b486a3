// A handed-over job by PyTorch itself: two processes find our losses step by step, a wrong first loss stops them, and the
// result comes back; its launch files by the tools that read them.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { importJob } from "../../src/export/job/import.ts";
import { exportJob } from "../../src/export/job/job.ts";
import type { Job } from "../../src/export/job/job-file.ts";
import { readAdapter } from "../../src/models/adapter-node.ts";
import { openLlava } from "../../src/models/node.ts";
import { createDirectEngine } from "../../src/runtime/direct-node.ts";
import { parseRecipe } from "../../src/train/recipe-read.ts";
import { train } from "../../src/train/run.ts";
import { writeTinyProject, writeTinyVision } from "../tiny-bases.ts";

/** a Python that has torch, transformers and accelerate: LLAVA_PYTHON */
const python = process.env["LLAVA_PYTHON"];

interface Line {
  readonly stage: string;
  readonly step: number;
  readonly loss: number;
  readonly learning_rate: number;
}
const readLines = async (path: string): Promise<Line[]> =>
  (await readFile(path, "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

describe.skipIf(python === undefined)("a job (LLAVA_PYTHON names a Python that has transformers)", () => {
  let root: string;
  const at = (...names: string[]): string => join(root, ...names);
  const environment = { ...process.env, OMP_NUM_THREADS: "1", CUDA_VISIBLE_DEVICES: "", HF_HUB_OFFLINE: "1" };
  const run = (job: string, launcher: readonly string[], options: readonly string[] = []) =>
    spawnSync(python!, [...launcher, join(job, "train.py"), "--cpu", ...options], {
      env: environment,
      encoding: "utf8",
    });
  const torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"];

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "job-golden-"));
    const text = await writeTinyProject(root, "tiny");
    // some without a picture, so that a process may have a pass without any
    const samples = JSON.parse(await readFile(at("samples.json"), "utf8")) as object[];
    const words = [
      { from: "human", value: "What colour is grass?" },
      { from: "gpt", value: "green, as a rule" },
    ];
    const texts = Array.from({ length: 8 }, (_, i) => ({ id: `text ${i}`, conversations: words }));
    await writeFile(at("samples.json"), JSON.stringify([...samples, ...texts]));
    await writeTinyVision(at("siglip"), { model_type: "siglip_vision_model" });
    const engine = await createDirectEngine({ threads: 1 });
    const plain = ["model.projector.pixel_shuffle=1"];
    const siglip = [...plain, `model.vision.path=${at("siglip")}`, "model.vision.layer=-1", "model.template=plain"];
    siglip.push("stages.instruct.train=[projector,language,vision]", "stages.instruct.learning_rate=0.001");
    siglip.push(`output=${at("siglip-run")}`, "stages.instruct.template=vicuna_v1");
    // a projector that learns by an adapter, then by its weights, beside a language model that learns by one
    const lora = [...plain, `output=${at("lora-run")}`, "stages.align.lora={ rank: 2, targets: [linear_1, linear_2] }"];
    lora.push("stages.instruct.lora={ rank: 3, alpha: 9, targets: [q_proj, v_proj, down_proj] }");
    for (const [name, changes] of Object.entries({ clip: plain, siglip, lora })) {
      const recipe = parseRecipe(text, "tiny.yaml", changes);
      await exportJob(recipe, { out: at(`${name}-job`), engine, shardBytes: 1e6 });
      await train(recipe, { engine });
    }
    await engine.close();
  }, 120_000);
  afterAll(() => rm(root, { recursive: true }));

  it.each([
    ["clip", "tiny"],
    ["siglip", "siglip-run"],
    ["lora", "lora-run"],
  ])(
    "%s: two processes follow our own run and come back as a model",
    async (name, ours) => {
      const job = at(`${name}-job`);
      const { status, stderr } = run(job, torchrun);
      expect([status, status === 0 ? "" : stderr]).toEqual([0, ""]);
      const [theirs, expected] = [
        await readLines(join(job, "out", "metrics.jsonl")),
        await readLines(at(ours, "metrics.jsonl")),
      ];
      expect(theirs.map(({ stage, step }) => [stage, step])).toEqual(expected.map(({ stage, step }) => [stage, step]));
      const farthest = theirs.reduce((most, line, i) => Math.max(most, Math.abs(line.loss - expected[i]!.loss)), 0);
      expect(farthest).toBeLessThan(5e-4);
      await importJob(job, { out: at(`${name}-model`), shardBytes: 1e9 });
      const [back, own] = [await openLlava(at(`${name}-model`)), await openLlava(at(ours, "model"))];
      for (const part of ["projector", "language"] as const) {
        for (const weight of back[part].shapes.keys()) {
          const [a, b] = [await back[part].load(weight), await own[part].load(weight)];
          expect(a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0)).toBeLessThan(2e-2);
        }
      }
      await Promise.all([back.close(), own.close()]);
    },
    300_000,
  );

  it("brings the last stage's adapter back beside the weights that it stands on", async () => {
    const [back, own] = [at("lora-model"), at("lora-run", "model")];
    const open = async (model: string) => {
      const files = await openLlava(model, { adapter: false });
      return { files, adapter: await readAdapter(model, files) };
    };
    const [theirs, ours] = [await open(back), await open(own)];
    expect(theirs.adapter.lora).toEqual({ ...ours.adapter.lora, targets: expect.any(Array) as unknown });
    expect(ours.adapter.lora).toMatchObject({ rank: 3, alpha: 9 });
    const factors = theirs.adapter.parts.language!;
    expect([...factors.shapes]).toEqual(expect.arrayContaining([...ours.adapter.parts.language!.shapes]));
    let learned = 0;
    for (const name of factors.shapes.keys()) {
      const [a, b] = [await factors.load(name), await ours.adapter.parts.language!.load(name)];
      expect(a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0)).toBeLessThan(2e-2);
      if (name.endsWith("lora_B.weight")) learned += a.reduce((sum, x) => sum + Math.abs(x), 0);
    }
    expect(learned).toBeGreaterThan(0);
    for (const name of theirs.files.language.shapes.keys())
      expect(await theirs.files.language.load(name)).toEqual(await ours.files.language.load(name));
    await Promise.all([theirs.files.close(), ours.files.close()]);
  });

  it("trains nothing where an adapter does not begin with our factors", async () => {
    const start = at("lora-job", "data", "adapter-instruct", "adapter_config.json");
    const config = await readFile(start, "utf8");
    await writeFile(start, config.replace("q_proj|", ""));
    const { status, stderr } = run(at("lora-job"), [], ["--check-only"]);
    await writeFile(start, config);
    expect([status, stderr]).toEqual([1, expect.stringContaining("error[ADAPTER]: factors that PEFT does not take")]);
  }, 120_000);

  it("trains nothing where PyTorch's first loss is not ours", async () => {
    const path = at("clip-job", "job.json");
    const text = await readFile(path, "utf8");
    const job = JSON.parse(text) as Job;
    const bent = job.stages.map((stage, i) => ({
      ...stage,
      expected_loss: stage.expected_loss + (i === 1 ? 2e-4 : 0),
    }));
    await writeFile(path, JSON.stringify({ ...job, stages: bent }));
    const { status, stderr } = run(at("clip-job"), [], ["--out", at("never")]);
    await writeFile(path, text);
    expect(status).toBe(1);
    expect(stderr).toMatch(/error\[PARITY\]: expected a loss of .* of stage instruct, got .*; nothing was trained/);
    expect(await readdir(root)).not.toContain("never");
  }, 120_000);

  it.each(["clip", "lora"])(
    "goes on where it was stopped: %s",
    async (name) => {
      const out = at(`${name}-resumed`);
      const job = at(`${name}-job`);
      expect(run(job, [], ["--out", out, "--rows", "3"]).status).toBe(0);
      const whole = await readLines(join(out, "metrics.jsonl"));
      // as if it had been killed in the second stage, behind its checkpoint
      await rm(join(out, "model"), { recursive: true });
      const kept = (await readdir(join(out, "instruct"))).toSorted()[0]!;
      for (const name of await readdir(join(out, "instruct"))) {
        if (name !== kept) await rm(join(out, "instruct", name), { recursive: true });
      }
      expect(run(job, [], ["--out", out, "--rows", "3", "--resume", "--gradient-checkpointing"]).status).toBe(0);
      const again = (await readLines(join(out, "metrics.jsonl"))).slice(whole.length);
      const from = Number(kept.split("-")[1]);
      expect(again.map(({ stage, step }) => [stage, step])).toEqual(
        whole.filter(({ stage, step }) => stage === "instruct" && step > from).map(({ stage, step }) => [stage, step]),
      );
      expect(Math.abs(again.at(-1)!.loss - whole.at(-1)!.loss)).toBeLessThan(1e-4);
    },
    300_000,
  );

  it("is launched by accelerate, whose config takes our file, and by hf jobs", async () => {
    const bin = (name: string): string => join(dirname(python!), name);
    const config = at("clip-job", "launch", "accelerate.yaml");
    const load =
      "import sys; from accelerate.commands.config.config_args import load_config_from_file as f; print(f(sys.argv[1]).num_processes)";
    expect(execFileSync(python!, ["-c", load, config], { encoding: "utf8" }).trim()).toBe("2");
    const launched = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"];
    expect(run(at("clip-job"), launched, ["--check-only"]).status).toBe(0);
    const path = `${dirname(bin("hf"))}:${process.env["PATH"] ?? ""}`;
    const dry = spawnSync("bash", [at("clip-job", "launch", "hf-jobs.sh"), "--dry-run"], {
      env: { ...environment, PATH: path },
      encoding: "utf8",
    });
    expect([dry.status, dry.status === 0 ? "" : dry.stderr]).toEqual([0, ""]);
    expect(dry.stdout + dry.stderr).toContain("a10g-small");
    expect(dry.stdout + dry.stderr).toContain("torchrun --nproc_per_node gpu train.py");
  }, 120_000);
});
