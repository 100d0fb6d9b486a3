// A job as a folder: tokens, pixels and the first losses by another path; what comes back; what is refused.
import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { writeTinyProject, writeTinyVision } from "../../../test/tiny-bases.ts";
import { writeTinyLlava } from "../../../test/tiny-export.ts";
import { buildRow } from "../../data/pack.ts";
import { openFile } from "../../formats/node.ts";
import { readSafetensors } from "../../formats/safetensors.ts";
import { readPictureBytes } from "../../image/node.ts";
import { openLlava } from "../../models/node.ts";
import { createDirectEngine } from "../../runtime/direct-node.ts";
import { assemble } from "../../train/assemble.ts";
import { preparePicture } from "../../train/features.ts";
import { loadWhole } from "../../train/parity-whole.ts";
import { parseRecipe } from "../../train/recipe-read.ts";
import type { Recipe } from "../../train/recipe.ts";
import { loadStages, type StageData } from "../../train/stage-data.ts";
import { importJob } from "./import.ts";
import { exportJob } from "./job.ts";
import type { Job } from "./job-file.ts";
import { launchFiles } from "./launch.ts";

const engine = await createDirectEngine({ threads: 1 });
let root: string;
let recipe: Recipe;
let text: string;
const at = (...names: string[]): string => join(root, ...names);
const plain = ["model.projector.pixel_shuffle=1"];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "job-"));
  text = await writeTinyProject(root, "tiny");
  recipe = parseRecipe(text, "tiny.yaml", plain);
  await exportJob(recipe, { out: at("job"), engine, shardBytes: 3000 });
});
afterAll(async () => {
  await engine.close();
  await rm(root, { recursive: true });
});

const readJob = async (): Promise<Job> => JSON.parse(await readFile(at("job", "job.json"), "utf8")) as Job;

async function tensorsOf(path: string): Promise<Map<string, number[]>> {
  const source = await openFile(path);
  try {
    const file = await readSafetensors(source);
    const arrays = { I32: Int32Array, I64: BigInt64Array, F32: Float32Array, U8: Uint8Array } as const;
    const tensors = new Map<string, number[]>();
    for (const name of file.tensors.keys()) {
      const { dtype, bytes } = await file.load(name);
      tensors.set(name, Array.from(new arrays[dtype as keyof typeof arrays](bytes.buffer) as Iterable<number>, Number));
    }
    return tensors;
  } finally {
    await source.close();
  }
}

async function withStages<T>(work: (stages: StageData[], parts: Awaited<ReturnType<typeof assemble>>) => Promise<T>) {
  const assembly = await assemble(recipe);
  try {
    return await work(await loadStages({ assembly, stages: recipe.stages }), assembly);
  } finally {
    await assembly.close();
  }
}

describe("a job", () => {
  it("holds every sample's tokens and labels, and the steps in our order", async () => {
    const job = await readJob();
    await withStages(async (stages) => {
      for (const [i, data] of stages.entries()) {
        const tensors = await tensorsOf(at("job", job.stages[i]!.tokens));
        const starts = tensors.get("starts")!;
        expect(starts).toHaveLength(data.samples.length + 1);
        for (const [k, sample] of data.samples.entries()) {
          expect(tensors.get("ids")!.slice(starts[k], starts[k + 1])).toEqual([...sample.ids]);
          expect(tensors.get("labels")!.slice(starts[k], starts[k + 1])).toEqual([...sample.labels]);
        }
        const steps = Array.from({ length: data.plan.steps }, (_, step) => [...data.plan.samplesOf(step + 1)]);
        expect(tensors.get("order")).toEqual(steps.flat());
        expect(tensors.get("rates")!.at(-1)).toBeLessThan(tensors.get("rates")![1]!);
      }
    });
  });

  it("gives back exactly the pixels that the tower is trained on, in several files", async () => {
    const job = await readJob();
    expect(job.pictures.files.length).toBeGreaterThan(2);
    const values = (await tensorsOf(at("job", job.pictures.values))).get("values")!;
    const [bytes, place] = [await Promise.all(job.pictures.files.map((file) => tensorsOf(at("job", file)))), 5];
    const pixels = bytes.flatMap((file) => file.get("pixels")!);
    const area = job.pictures.size[0] * job.pictures.size[1];
    const theirs = Float32Array.from({ length: 3 * area }, (_, i) => {
      const channel = Math.floor(i / area);
      return values[channel * 256 + pixels[place * 3 * area + (i % area) * 3 + channel]!]!;
    });
    await withStages(async ([align], { preprocessor }) => {
      const picture = align!.pictures[place]!;
      const own = await readPictureBytes(join(picture.root, picture.image));
      expect(theirs).toEqual(await preparePicture(picture, own, preprocessor));
    });
  });

  it("tells the loss of each stage's first batch as the whole model in one graph computes it", async () => {
    const job = await readJob();
    await withStages(async (stages, assembly) => {
      const whole = await loadWhole(engine, assembly);
      for (const [i, { samples, plan, pictures }] of stages.entries()) {
        const first = [...plan.samplesOf(1)].map((k) => samples[k]!);
        const length = first.reduce((most, { ids }) => Math.max(most, ids.length), 0);
        const names = first.flatMap(({ images }) => images);
        const rows = first.map((sample) => {
          const row = buildRow([sample], length);
          return { ...row, images: row.images.map((each) => ({ ...each, image: String(names.indexOf(each.image)) })) };
        });
        const pixels = await Promise.all(
          names.map(async (name) => {
            const picture = pictures.find(({ root: folder, image }) => name === `${folder}\n${image}`)!;
            return preparePicture(
              picture,
              await readPictureBytes(join(picture.root, picture.image)),
              assembly.preprocessor,
            );
          }),
        );
        const { loss } = await whole.run(rows, pixels, true);
        expect(Math.abs((loss!.data as Float32Array)[0]! - job.stages[i]!.expected_loss)).toBeLessThan(1e-5);
      }
      await whole.release();
    });
    expect(job.stages[0]!.expected_loss).not.toBe(job.stages[1]!.expected_loss);
  });

  it("is replaced with force alone, and only a job or a model is", async () => {
    const again = (out: string, force: boolean) => exportJob(recipe, { out, engine, shardBytes: 1e6, force });
    await expect(again(at("job"), false)).rejects.toMatchObject({ code: "OUTPUT_EXISTS" });
    await again(at("job"), true);
    expect((await readJob()).pictures.files).toHaveLength(1);
    await expect(again(at("photos"), true)).rejects.toMatchObject({ code: "OUTPUT_NOT_A_MODEL" });
    expect((await readdir(root)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it.each([
    ["pixel shuffle 2", []],
    ["one", [...plain, "model.projector.kind=linear"]],
    ["quantize: 4bit", [...plain, "stages.align.quantize=4bit"]],
    ["muon", [...plain, "stages.align.optimizer=muon"]],
    ["share_pictures: 4", [...plain, "stages.align.share_pictures=4"]],
  ])("refuses what train.py can't do: %s", async (got, changes) => {
    const odd = parseRecipe(text, "tiny.yaml", changes);
    const exported = exportJob(odd, { out: at("odd"), engine, shardBytes: 1e6 });
    await expect(exported).rejects.toMatchObject({ code: "EXPORT_UNSUPPORTED", exitCode: 2 });
    await expect(exported).rejects.toThrow(got);
    expect(await readdir(root)).not.toContain("odd");
  });

  it("refuses a ViT", async () => {
    const vit = parseRecipe(text, "tiny.yaml", [...plain, `model.vision.path=${at("vit")}`]);
    await writeTinyVision(at("vit"), { model_type: "vit" });
    const exported = exportJob(vit, { out: at("odd"), engine, shardBytes: 1e6 });
    await expect(exported).rejects.toMatchObject({ code: "EXPORT_UNSUPPORTED" });
    await expect(exported).rejects.toThrow(/got a ViT .*llava train/);
  });
});

describe("what comes back", () => {
  let job: string;
  const finish = async (folder: string, run: object): Promise<void> => {
    await mkdir(join(folder, "out"), { recursive: true });
    await cp(join(folder, "checkpoint"), join(folder, "out", "model"), { recursive: true });
    await writeFile(join(folder, "out", "run.json"), JSON.stringify(run));
  };
  beforeAll(async () => {
    job = at("back");
    await cp(at("job"), job, { recursive: true });
  });

  it("is refused before the end", async () => {
    await expect(importJob(job, { out: at("model"), shardBytes: 1e6 })).rejects.toMatchObject({
      code: "JOB_UNFINISHED",
    });
    expect(await readdir(root)).not.toContain("model");
  });

  it("becomes a model directory whose card tells bases, stages and what trained it", async () => {
    await finish(job, { torch: "2.13.0+cpu", transformers: "5.23.0", processes: 2, bf16: "# evil" });
    await importJob(job, { out: at("model"), shardBytes: 1e6, dtype: "F16" });
    const [model, start] = [await openLlava(at("model")), await openLlava(join(job, "checkpoint"))];
    expect(model.config.template).toBe("vicuna_v1");
    expect(await model.tokenizer()).toMatchObject({ tokenizerJson: (await start.tokenizer()).tokenizerJson });
    const name = "linear_1.weight";
    const [ours, theirs] = [await model.projector.load(name), await start.projector.load(name)];
    expect(ours.every((x, i) => Math.abs(x - theirs[i]!) < 1e-3)).toBe(true);
    await Promise.all([model.close(), start.close()]);
    const card = await readFile(at("model", "README.md"), "utf8");
    expect(card).toContain("| align | projector | samples.json | 2 epochs, batches of 4 | 0.01 |");
    expect(card).toContain(
      "Trained by transformers 5.23.0 on PyTorch 2.13.0+cpu, 2 processes (align: 6 steps, instruct: 8 steps).",
    );
  });

  it("keeps foreign text out of the card", async () => {
    await finish(job, { torch: "1\n# evil", transformers: [], processes: 2 });
    await importJob(job, { out: at("plain"), shardBytes: 1e6 });
    expect(await readFile(at("plain", "README.md"), "utf8")).toContain("transformers ? on PyTorch ?, 2 processes");
  });

  it("is refused where it is another model, or job.json leads elsewhere", async () => {
    const other = at("other");
    await cp(job, other, { recursive: true });
    await rm(join(other, "out", "model"), { recursive: true });
    await writeTinyLlava(join(other, "out", "model"));
    const imported = () => importJob(other, { out: at("never"), shardBytes: 1e6 });
    await expect(imported()).rejects.toMatchObject({ code: "JOB_MODEL", exitCode: 2 });
    const told = JSON.parse(await readFile(join(other, "job.json"), "utf8")) as object;
    await writeFile(join(other, "job.json"), JSON.stringify({ ...told, checkpoint: "../vision" }));
    await expect(imported()).rejects.toMatchObject({ code: "JOB_FILE" });
    expect(await readdir(root)).not.toContain("never");
  });
});

describe("launch files", () => {
  const files = launchFiles("My_photos.v2");
  it("are scripts that bash can read", () => {
    for (const [name, script] of Object.entries(files)) {
      if (name.endsWith(".sh")) execFileSync("bash", ["-n"], { input: script });
    }
    expect(files["launch/slurm.sh"]).toContain("#SBATCH --job-name=llava-my-photos-v2\n");
  });

  it("have the keys of accelerate's cluster config (its commands/config/config_args.py)", () => {
    const known = ["compute_environment", "distributed_type", "mixed_precision", "use_cpu", "num_processes"];
    known.push("machine_rank", "num_machines", "main_training_function", "rdzv_backend", "same_network");
    const config = parse(files["launch/accelerate.yaml"]!) as object;
    expect(Object.keys(config).filter((key) => !known.includes(key))).toEqual([]);
  });

  it("have a TrainJob's shape (manifests/base/crds of kubeflow/trainer, v1alpha1)", () => {
    const job = parse(files["launch/trainjob.yaml"]!) as Record<string, never>;
    const label = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/;
    const claim = { persistentVolumeClaim: { claimName: expect.stringMatching(label) as string }, name: "job" };
    const pod = {
      volumes: [claim],
      containers: [{ name: "node", volumeMounts: [{ name: "job", mountPath: "/job" }] }],
    };
    expect(job).toEqual({
      apiVersion: "trainer.kubeflow.org/v1alpha1",
      kind: "TrainJob",
      metadata: { name: expect.stringMatching(label) as string },
      spec: {
        runtimeRef: { apiGroup: "trainer.kubeflow.org", kind: "ClusterTrainingRuntime", name: "torch-distributed" },
        trainer: {
          image: expect.stringMatching(/^pytorch\/pytorch:/) as string,
          numNodes: 1,
          numProcPerNode: 1,
          command: ["bash", "-c", expect.stringContaining("torchrun train.py") as string],
          resourcesPerNode: { limits: { "nvidia.com/gpu": 1 } },
        },
        runtimePatches: [
          {
            manager: expect.stringMatching(/^.{1,253}$/) as string,
            trainingRuntimeSpec: {
              template: {
                spec: { replicatedJobs: [{ name: "node", template: { spec: { template: { spec: pod } } } }] },
              },
            },
          },
        ],
      },
    });
  });
});
