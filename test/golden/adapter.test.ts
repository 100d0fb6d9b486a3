// An adapter that PEFT made: logits, loss, gradients and a curve as PEFT has them; and PEFT's logits of one that we wrote.
import { execFileSync } from "node:child_process";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openFile } from "../../src/formats/node.ts";
import { readSafetensors } from "../../src/formats/safetensors.ts";
import { parsePreprocessor } from "../../src/image/preprocessor.ts";
import { adapterEntries } from "../../src/models/adapter-files.ts";
import { readAdapter } from "../../src/models/adapter-node.ts";
import { createPictureEncoder } from "../../src/models/encode-pictures.ts";
import type { AdaptedPart, Adapter } from "../../src/models/lora.ts";
import { type LlavaFiles, openLlava, openModel } from "../../src/models/node.ts";
import { saveModel } from "../../src/models/save-node.ts";
import { createDirectEngine } from "../../src/runtime/direct-node.ts";
import { download, type Engine } from "../../src/runtime/engine.ts";
import { loadAdapted } from "../../src/train/adapted-part.ts";
import { microBatch } from "../../src/train/micro-batch.ts";
import { type Golden, openGolden } from "../../src/train/parity-golden.ts";
import { loadWhole } from "../../src/train/parity-whole.ts";
import { createStepper } from "../../src/train/step.ts";

const at = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const [base, folder] = [at("llava-tiny"), at("adapter-tiny")];
/** a Python that has peft and transformers: LLAVA_PYTHON */
const python = process.env["LLAVA_PYTHON"];

let engine: Engine;
let files: LlavaFiles;
let golden: Golden;
let adapter: Adapter;
beforeAll(async () => {
  engine = await createDirectEngine({ threads: 1 });
  files = await openLlava(base);
  golden = await openGolden(join(base, "golden.safetensors"), files.config);
  adapter = await readAdapter(folder, files);
});
afterAll(async () => {
  await golden.close();
  await files.close();
  await engine.close();
});

async function tensorsOf(path: string): Promise<Map<string, Float32Array>> {
  const source = await openFile(path);
  try {
    const file = await readSafetensors(source);
    const tensors = new Map<string, Float32Array>();
    for (const name of file.tensors.keys()) tensors.set(name, await file.loadFloat32(name));
    return tensors;
  } finally {
    await source.close();
  }
}

const farthest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), Math.abs(a.length - b.length));
const largest = (a: Float32Array): number => a.reduce((most, x) => Math.max(most, Math.abs(x)), 0);

/** The logits of the golden batch, as the model is opened. */
async function logitsOf(model: LlavaFiles): Promise<Float32Array> {
  const whole = await loadWhole(engine, model);
  try {
    const { logits } = await whole.run(golden.rows, golden.pictures, false);
    return logits!.data as Float32Array;
  } finally {
    await whole.release();
  }
}

it.each([
  ["beside its model", () => openLlava(base, { adapter: folder })],
  ["by the model that it names", () => openModel(folder) as Promise<LlavaFiles>],
])("computes PEFT's logits with PEFT's adapter, opened %s", async (_, open) => {
  const expected = (await tensorsOf(join(folder, "golden.safetensors"))).get("logits")!;
  const merged = await open();
  expect(farthest(await logitsOf(merged), expected)).toBeLessThan(2e-4);
  await merged.close();
  expect(farthest(await logitsOf(files), expected)).toBeGreaterThan(0.1);
});

it("has PEFT's loss and gradients, and its curve under AdamW", async () => {
  const expected = await tensorsOf(join(folder, "golden.safetensors"));
  const { losses } = JSON.parse(await readFile(join(folder, "golden.json"), "utf8")) as { losses: number[] };
  const encoder = await createPictureEncoder(engine, files.config, files.vision, golden.pictures.length);
  const encoded = await encoder.encode(golden.pictures);
  const load = (part: AdaptedPart) =>
    loadAdapted(engine, part, files[part], {
      blocks: false,
      adapter: { lora: adapter.lora, weights: adapter.parts[part]! },
    });
  const parts = { projector: await load("projector"), language: await load("language") };
  const [first] = golden.rows;
  const length = first!.ids.length;
  const features = (images: readonly string[]): Promise<Float32Array<ArrayBuffer>> =>
    Promise.resolve(Float32Array.from(images.flatMap((image) => [...encoded[Number(image)]!])));
  const tokens = golden.rows.length * length;
  const stepper = createStepper({ engine, config: files.config, parts, length, tokens, features });
  const batch = microBatch(golden.rows, files.config.language);
  const seen: number[] = [];
  for (let step = 1; step <= losses.length; step++) {
    const { loss, gradNorm } = await stepper.accumulate([batch]);
    seen.push(loss);
    for (const part of step === 1 ? (["projector", "language"] as const) : []) {
      const names = adapterEntries({ ...adapter, parts: { [part]: adapter.parts[part]! } }).map(({ name }) => name);
      for (const [i, name] of [...parts[part].trained!.shapes.keys()].entries()) {
        const want = expected.get(`grad.${names[i]!}`)!;
        const { data } = await download(engine, parts[part].trained!.state(name).gradient);
        expect([name, farthest(data, want) < 1e-3 * largest(want)]).toEqual([name, true]);
      }
    }
    const rates = { learningRates: { projector: 1e-2, language: 1e-2 }, weightDecay: 0, maxGradNorm: 0 };
    await stepper.update(step, gradNorm, { ...rates, betas: [0.9, 0.999], epsilon: 1e-8 });
  }
  expect(Math.abs(seen[0]! - expected.get("loss")![0]!)).toBeLessThan(1e-5);
  seen.forEach((loss, i) => expect(Math.abs(loss - losses[i]!)).toBeLessThan(1e-3));
  await stepper.release();
  await encoder.release();
  expect(encoded).toHaveLength(golden.pictures.length);
});

describe.skipIf(python === undefined)("with peft itself (LLAVA_PYTHON names a Python that has it)", () => {
  it("loads what we write, beside its model and inside it, and computes our logits", async () => {
    const temporary = await mkdtemp(join(tmpdir(), "llava-peft-"));
    try {
      const model = join(temporary, "model");
      const preprocessor = parsePreprocessor({ image_processor_type: "ViTImageProcessor", size: 8 }, "test");
      const tokenizerFiles = { where: "test", tokenizerJson: {}, tokenizerConfig: {} };
      await saveModel(model, { ...files, adapter, tokenizerFiles, preprocessor, endIds: [2] });
      const bare = join(temporary, "bare");
      await cp(model, bare, { recursive: true });
      for (const name of ["adapter_config.json", "adapter_model.safetensors"]) await rm(join(bare, name));
      const out = join(temporary, "out.safetensors");
      const run = [at("peft_logits.py"), bare, model, join(base, "golden.safetensors"), out];
      execFileSync(python!, run, { stdio: "pipe", env: { ...process.env, OMP_NUM_THREADS: "1" } });
      const merged = await openLlava(model);
      const ours = await logitsOf(merged);
      await merged.close();
      for (const [name, theirs] of await tensorsOf(out)) {
        expect([name, farthest(ours, theirs) < 2e-4]).toEqual([name, true]);
      }
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }, 120_000);
});
