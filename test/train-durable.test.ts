// What a run refuses and survives: changed inputs, numbers that are not finite, a full disk, a second run.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openFile, writeFileAtomic } from "../src/formats/node.ts";
import { readSafetensors } from "../src/formats/safetensors.ts";
import { encodeSafetensors } from "../src/formats/safetensors-write.ts";
import { encodePng } from "../src/image/node.ts";
import type { Engine } from "../src/runtime/engine.ts";
import { createDirectEngine } from "../src/runtime/node.ts";
import type { TrainEvent } from "../src/train/events.ts";
import { readMetrics } from "../src/train/metrics.ts";
import { parseRecipe } from "../src/train/recipe-read.ts";
import type { Recipe } from "../src/train/recipe.ts";
import { train, type TrainOptions } from "../src/train/run.ts";
import { weightsHash, writeTinyProject } from "./tiny-bases.ts";

let root: string;
let engine: Engine;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "llava-durable-"));
  engine = await createDirectEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(root, { recursive: true, force: true });
});

let projects = 0;
/** A project of its own, with overrides of its recipe. */
async function project(...overrides: string[]): Promise<{ folder: string; recipe: Recipe; text: string }> {
  const folder = join(root, String(projects++));
  await mkdir(folder);
  const text = await writeTinyProject(folder, "run");
  return { folder, text, recipe: parseRecipe(text, "recipe.yaml", overrides) };
}

async function run(recipe: Recipe, options: Partial<TrainOptions> = {}): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  const onEvent = (event: TrainEvent): void => {
    events.push(event);
    options.onEvent?.(event);
  };
  await train(recipe, { engine, ...options, onEvent });
  return events;
}

/** Ends a run after a step. */
const stopAt = (stage: string, step: number): Partial<TrainOptions> => {
  const controller = new AbortController();
  const onEvent = (event: TrainEvent): void => {
    if (event.type === "step" && event.metrics.stage === stage && event.metrics.step === step) controller.abort();
  };
  return { signal: controller.signal, onEvent };
};

/** The model's digest and the metrics without their times. */
async function outcome({ output }: Recipe): Promise<object> {
  const { steps } = await readMetrics(join(output, "metrics.jsonl"));
  return { model: await weightsHash(join(output, "model")), metrics: steps.map((line) => ({ ...line, seconds: 0 })) };
}

/** Every file of a folder by its digest. */
async function contents(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile())
      found[path] = createHash("sha256")
        .update(await readFile(path))
        .digest("hex");
  }
  return found;
}

describe("a resumed run with something changed", () => {
  let folder: string;
  let text: string;
  beforeAll(async () => {
    const made = await project();
    ({ folder, text } = made);
    await run(made.recipe, stopAt("instruct", 3));
  });
  const resumed = (...overrides: string[]): Promise<TrainEvent[]> =>
    run(parseRecipe(text, "recipe.yaml", overrides), { resume: true });

  it.each([
    ["stages.instruct.batch_size=2", /stages\.instruct\.batch_size 3 → 2/],
    ["stages.align.learning_rate=0.5", /stages\.align\.learning_rate\.projector 0\.01 → 0\.5/],
    ["stages.instruct.epochs=3", /data\.instruct\.steps 8 → 12/],
    ["seed=8", /seed 7 → 8/],
    ["stages.align.template=vicuna_v1", /stages\.align\.template plain → vicuna_v1/],
  ])("refuses %s, says what differs and touches nothing", async (override, difference) => {
    const before = await contents(join(folder, "run"));
    await expect(resumed(override)).rejects.toMatchObject({
      code: "RESUME_CHANGED",
      exitCode: 2,
      message: expect.stringMatching(difference) as string,
    });
    expect(await contents(join(folder, "run"))).toEqual(before);
  });

  it.each([
    [
      "an answer",
      "samples.json",
      (old: Buffer) => old.toString().replace("green", "brown"),
      /data\.align\.sha256 \w{8} → \w{8}/,
    ],
    [
      "a picture",
      "photos/4.png",
      () => encodePng({ width: 2, height: 2, data: new Uint8Array(12) }),
      /pictures\.align \w{8} → \w{8}/,
    ],
    [
      "a base model",
      "language/model.safetensors",
      async (old: Buffer) => {
        const bytes = Buffer.from(old);
        bytes[bytes.length - 2]! ^= 8;
        return bytes;
      },
      /bases\.language \w{8} → \w{8}/,
    ],
  ] as const)("refuses another %s", async (_, name, change, difference) => {
    const path = join(folder, name);
    const old = await readFile(path);
    await writeFile(path, await change(old));
    await expect(resumed()).rejects.toMatchObject({
      code: "RESUME_CHANGED",
      message: expect.stringMatching(difference) as string,
    });
    await writeFile(path, old);
  });

  it("lets data, bases and output move, and checkpoints be made at other times", async () => {
    await rename(folder, `${folder}-moved`);
    const moved = text.replaceAll(folder, `${folder}-moved`);
    const recipe = parseRecipe(moved, "recipe.yaml", ["stages.instruct.checkpoint_every=3", "stages.instruct.keep=5"]);
    await run(recipe, { resume: true });
    const whole = await project();
    await run(whole.recipe);
    expect(await outcome(recipe)).toEqual(await outcome(whole.recipe));
  });
});

describe("numbers that are not finite", () => {
  /** Puts a value in the place of a picture's cached features. */
  async function poison(folder: string, picture: string, value: number): Promise<void> {
    const digest = createHash("sha256")
      .update(await readFile(join(folder, "photos", picture)))
      .digest("hex");
    const cache = join(folder, "cache");
    const [tower] = await readdir(cache);
    const path = join(cache, tower!, `${digest}.safetensors`);
    const file = await openFile(path);
    const { shape } = (await readSafetensors(file)).tensors.get("features")!;
    await file.close();
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value);
    await writeFileAtomic(path, encodeSafetensors([{ name: "features", dtype: "F32", shape, data }]));
  }

  async function poisoned(
    value: number,
    ...overrides: string[]
  ): Promise<{ folder: string; recipe: Recipe; text: string }> {
    const made = await project(...overrides);
    const aborted = new AbortController();
    // encodes all pictures
    await run(made.recipe, {
      ...stopAt("align", 1),
      signal: aborted.signal,
      onEvent: ({ type }) => type === "stage" && aborted.abort(),
    });
    await poison(made.folder, "3.png", value);
    return made;
  }

  /** All weights and moments of all checkpoints. */
  async function everySaved({ output }: Recipe): Promise<number[]> {
    const all: number[] = [];
    for (const name of await readdir(join(output, "checkpoints"))) {
      const file = await openFile(join(output, "checkpoints", name, "state.safetensors"));
      const tensors = await readSafetensors(file);
      for (const tensor of tensors.tensors.keys()) all.push(...(await tensors.loadFloat32(tensor)));
      await file.close();
    }
    return all;
  }

  it.each([Number.NaN, Infinity])("stops at features of %f, and names stage, step and sample", async (value) => {
    const { recipe } = await poisoned(value, "stages.align.checkpoint_every=1", "stages.align.keep=9");
    const failure = run(recipe, { resume: true });
    await expect(failure).rejects.toMatchObject({
      code: "TRAIN_NOT_FINITE",
      exitCode: 1,
      details: {
        got: expect.stringMatching(/^loss \S+, gradient norm (NaN|Infinity)$/) as string,
        where: expect.stringMatching(/^stage align, step [1-3], samples 3$/) as string,
        fix: expect.stringContaining("on_nan=skip") as string,
      },
    });
    expect((await everySaved(recipe)).every(Number.isFinite)).toBe(true);
  });

  it("leaves such steps out where the recipe says so, tells which, and goes on the same after a stop", async () => {
    const skip = ["stages.align.on_nan=skip", "stages.instruct.on_nan=skip"];
    const { folder, text, recipe } = await poisoned(Number.NaN, ...skip);
    const events = await run(recipe, { resume: true });
    const left = (await readFile(join(recipe.output, "skipped.jsonl"), "utf8")).trim().split("\n");
    expect(left.map((line) => JSON.parse(line) as unknown)).toEqual(
      events.flatMap((event) => (event.type === "not_finite" ? [event.skipped] : [])),
    );
    // each of two epochs of two stages meets the sample once
    expect(left).toHaveLength(4);
    expect(left.every((line) => line.includes('"samples":["3"]'))).toBe(true);
    expect((await readMetrics(join(recipe.output, "metrics.jsonl"))).steps).toHaveLength(6 + 8 - 4);
    expect((await everySaved(recipe)).every(Number.isFinite)).toBe(true);

    const again = parseRecipe(text, "recipe.yaml", [...skip, `output=${join(folder, "again")}`]);
    await run(again, stopAt("instruct", 7));
    await run(again, { resume: true });
    expect(await outcome(again)).toEqual(await outcome(recipe));
    expect(await readFile(join(again.output, "skipped.jsonl"), "utf8")).toBe(`${left.join("\n")}\n`);
  });

  it("stops all the same when step after step is left out", async () => {
    const { folder, recipe } = await poisoned(Number.NaN, "stages.align.on_nan=skip", "stages.align.epochs=5");
    for (let i = 0; i < 12; i++) await poison(folder, `${i}.png`, Number.NaN);
    await expect(run(recipe, { resume: true })).rejects.toMatchObject({
      code: "TRAIN_NOT_FINITE",
      details: {
        got: expect.stringContaining("after 10 skipped steps in a row") as string,
        where: expect.stringContaining("step 11,") as string,
      },
    });
  });

  it("saves no weights that overflowed", async () => {
    const { recipe } = await project(
      "stages.align.learning_rate=1e38",
      "stages.align.checkpoint_every=1",
      "stages.align.schedule=constant",
      "stages.align.warmup=0",
    );
    await expect(run(recipe)).rejects.toMatchObject({
      code: expect.stringMatching(/NOT_FINITE$/) as string,
      exitCode: 1,
    });
    expect((await everySaved(recipe)).every(Number.isFinite)).toBe(true);
  });
});

describe("one run at a time", () => {
  it("refuses a second one in the same folder, resuming or not, and goes on undisturbed", async () => {
    const { recipe } = await project();
    const seconds: Promise<unknown>[] = [];
    const second = (resume: boolean): Promise<unknown> => run(recipe, { resume }).catch((error: unknown) => error);
    await run(recipe, {
      onEvent: ({ type }) => {
        if (type === "stage" && seconds.length === 0) seconds.push(second(true), second(false));
      },
    });
    for (const error of await Promise.all(seconds)) expect(error).toMatchObject({ code: "RUN_BUSY", exitCode: 2 });
    expect(existsSync(join(recipe.output, ".lock"))).toBe(false);
    expect(existsSync(join(recipe.output, "model", "model.safetensors"))).toBe(true);
  });
});

/** A file system of a megabyte, where this user may mount one. */
function smallDisk(): string | undefined {
  const path = join(tmpdir(), `llava-small-disk-${process.pid}`);
  try {
    execFileSync("sh", ["-c", `mkdir -p ${path} && mount -t tmpfs -o size=1m tmpfs ${path}`], { stdio: "ignore" });
    return path;
  } catch {
    return undefined;
  }
}

const disk = smallDisk();
describe.skipIf(disk === undefined)("a disk that is really full (needs the right to mount one)", () => {
  afterAll(() => void execFileSync("sh", ["-c", `umount ${disk!}`]));

  it("ends the run with one error, and the run goes on when there is room", async () => {
    const whole = await project();
    await run(whole.recipe);
    const { recipe } = await project(`output=${join(disk!, "run")}`, "stages.instruct.checkpoint_every=1");
    const ballast = join(disk!, "ballast");
    const fill = (event: TrainEvent): void => {
      if (event.type !== "checkpoint" || !event.path.endsWith("instruct-000003")) return;
      // to the last page
      execFileSync("sh", ["-c", `dd if=/dev/zero of=${ballast} bs=4k 2>/dev/null || true`]);
    };
    await expect(run(recipe, { onEvent: fill })).rejects.toMatchObject({
      code: "DISK_FULL",
      exitCode: 1,
      message: expect.stringContaining("--resume") as string,
    });
    await rm(ballast);
    const events = await run(recipe, { resume: true });
    expect(events).toContainEqual({ type: "stage", stage: "instruct", from: 4, steps: 8 });
    expect(await outcome(recipe)).toEqual(await outcome(whole.recipe));
  });
});
