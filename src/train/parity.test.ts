import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lab } from "../../test/lab.ts";
import { openFile, writeFileAtomic } from "../formats/node.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { encodeSafetensors, type SafetensorsEntry } from "../formats/safetensors-write.ts";
import { type LlavaFiles, openLlava } from "../models/node.ts";
import type { PartWeights } from "../models/weights.ts";
import { createDirectEngine } from "../runtime/direct-node.ts";
import { parity, type ParityReport } from "./parity.ts";
import { type Golden, openGolden } from "./parity-golden.ts";

const engine = await createDirectEngine({ threads: 1 });
afterAll(() => engine.close());

const tiny = fileURLToPath(new URL("../../test/golden/llava-tiny", import.meta.url));
const stages = [
  ...["tower_features", "projected", "logits", "loss", "gradients", "greedy"],
  ...["training_loss", "training_gradients", "curve_align", "curve_instruct"],
];
const failing = ({ stages: found }: ParityReport): string[] =>
  Object.entries(found).flatMap(([name, { ok }]) => (ok ? [] : [name]));

async function opened<T>(folder: string, work: (files: LlavaFiles, golden: Golden) => Promise<T>): Promise<T> {
  const files = await openLlava(folder);
  try {
    const golden = await openGolden(join(folder, "golden.safetensors"), files.config);
    return await work(files, golden).finally(() => golden.close());
  } finally {
    await files.close();
  }
}

async function agrees(folder: string): Promise<void> {
  const report = await opened(folder, (files, golden) => parity(engine, files, golden));
  expect(failing(report)).toEqual([]);
  expect(report.ok).toBe(true);
  expect(Object.keys(report.stages)).toEqual(stages);
}

it("agrees with transformers on rows of two, one and no pictures", () => agrees(tiny));
it("agrees with transformers on features of two layers", () => agrees(tiny.replace("tiny", "layers-tiny")));

describe.skipIf(!lab.present)("with the lab's goldens", () => {
  it.each(["llava-clip-untied", "llava-siglip-tied"])("agrees on %s", (name) => agrees(lab.path(`goldens/${name}`)));
});

/** One weight of a part is a little larger. */
const bent = (weights: PartWeights, name: string): PartWeights => ({
  ...weights,
  load: async (key) => (await weights.load(key)).map((x) => (key === name ? 1.01 * x : x)),
});

it.each([
  ["vision", "layers.0.fc1.weight", "tower_features"],
  ["projector", "linear_1.weight", "projected"],
  ["language", "model.layers.1.self_attn.k_proj.weight", "logits"],
  ["language", "lm_head.weight", "logits"],
] as const)("a wrong %s %s shows first in %s", async (part, name, stage) => {
  const report = await opened(tiny, (files, golden) =>
    parity(engine, { ...files, [part]: bent(files[part], name) }, golden),
  );
  expect(report.ok).toBe(false);
  expect(failing(report)[0]).toBe(stage);
});

it("names the gradient that differs most, be it of a weight that we do not have", async () => {
  const blame = async (parameter: string, change: (golden: Golden) => Golden): Promise<void> => {
    const { stages: found } = await opened(tiny, (files, golden) => parity(engine, files, change(golden)));
    expect(found.gradients).toMatchObject({ ok: false, worst: parameter });
  };
  const parameter = "vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias";
  await blame(parameter, (golden) => ({
    ...golden,
    gradient: async (name) => (await golden.gradient(name)).map((x) => (name === parameter ? 1.01 * x : x)),
  }));
  const unknown = "vision_tower.vision_model.head.probe";
  await blame(unknown, (golden) => ({
    ...golden,
    gradients: new Set([...golden.gradients, unknown]),
    gradient: (name) => (name === unknown ? Promise.resolve(Float32Array.of(1e-9)) : golden.gradient(name)),
  }));
});

it("counts greedy ids that differ, and leaves out curves that no file tells", async () => {
  const { stages: found } = await opened(tiny, (files, golden) =>
    parity(engine, files, { ...golden, greedy: golden.greedy.with(3, 0), curves: {} }),
  );
  expect(found.greedy).toEqual({ difference: 1, tolerance: 0, ok: false });
  expect(Object.keys(found)).toEqual(stages.slice(0, -2));
});

describe("a golden file that does not fit", () => {
  const folder = mkdtempSync(join(tmpdir(), "parity-"));
  const entries = new Map<string, SafetensorsEntry>();
  const path = join(folder, "golden.safetensors");
  beforeAll(async () => {
    for (const name of ["config.json", "model.safetensors"]) copyFileSync(join(tiny, name), join(folder, name));
    const source = await openFile(join(tiny, "golden.safetensors"));
    const file = await readSafetensors(source);
    for (const name of file.tensors.keys()) {
      const { dtype, shape, bytes } = await file.load(name);
      const data = dtype === "I64" ? new BigInt64Array(bytes.buffer) : new Float32Array(bytes.buffer);
      entries.set(name, { name, dtype, shape, data });
    }
    await source.close();
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  async function refused(changed: ReadonlyMap<string, SafetensorsEntry>): Promise<unknown> {
    await writeFileAtomic(path, encodeSafetensors([...changed.values()]));
    return opened(folder, (files, golden) => parity(engine, files, golden)).then(
      () => expect.fail("nothing was refused"),
      (error: unknown) => error,
    );
  }
  const integers = (name: string, change: (ids: BigInt64Array) => BigInt64Array): typeof entries => {
    const entry = entries.get(name)!;
    return new Map(entries).set(name, { ...entry, data: change((entry.data as BigInt64Array).slice()) });
  };

  it.each([
    ...["pixel_values", "input_ids", "labels", "tower_features", "projected", "logits", "loss", "greedy"],
    "grad.multi_modal_projector.linear_2.bias",
    // transformers 5 saves towers without the `vision_model.` that older ones, and we, have
    "grad.vision_tower.post_layernorm.weight",
  ])("misses %s", async (name) => {
    const rest = new Map(entries);
    expect(rest.delete(name)).toBe(true);
    expect(await refused(rest)).toMatchObject({
      code: "GOLDEN_MISSING",
      exitCode: 2,
      message: expect.stringContaining(`${name.split(".").slice(-2).join(".")},`) as string,
    });
  });

  it("has ids that no vocabulary holds, or a negative one that is not a label", async () => {
    const far = await refused(integers("input_ids", (ids) => ids.fill(36n, 20, 21)));
    expect(far).toMatchObject({ code: "GOLDEN_VALUE", message: expect.stringContaining("got 36") as string });
    const negative = await refused(integers("input_ids", (ids) => ids.fill(-100n, 20, 21)));
    expect(negative).toMatchObject({ code: "GOLDEN_VALUE" });
    const label = await refused(integers("labels", (ids) => ids.fill(-1n, 20, 21)));
    expect(label).toMatchObject({ code: "GOLDEN_VALUE", message: expect.stringContaining("labels") as string });
  });

  it("has picture tokens that are not whole pictures, or not as many as pictures", async () => {
    const cut = await refused(integers("input_ids", (ids) => ids.fill(3n, 2, 3)));
    expect(cut).toMatchObject({ code: "GOLDEN_VALUE", message: expect.stringContaining("11 tokens in 2") as string });
    const more = await refused(integers("input_ids", (ids) => ids.fill(31n, 60, 64)));
    expect(more).toMatchObject({ code: "GOLDEN_VALUE", message: expect.stringContaining("of 3 pictures") as string });
  });

  it("trains nothing", async () => {
    const error = await refused(integers("labels", (ids) => ids.fill(-100n)));
    expect(error).toMatchObject({ code: "GOLDEN_VALUE", message: expect.stringContaining("labels") as string });
  });

  it("holds pictures of another size, or features of another shape", async () => {
    const pixels = { ...entries.get("pixel_values")!, shape: [3, 3, 4, 16] };
    expect(await refused(new Map(entries).set("pixel_values", pixels))).toMatchObject({ code: "GOLDEN_SHAPE" });
    const loss = { ...entries.get("loss")!, shape: [2], data: new Float32Array(2) };
    expect(await refused(new Map(entries).set("loss", loss))).toMatchObject({ code: "GOLDEN_SHAPE" });
  });

  it("has curves that are not numbers", async () => {
    await writeFileAtomic(join(folder, "golden.json"), '{"curves":{"align":["low"]}}');
    expect(await refused(entries)).toMatchObject({
      code: "GOLDEN_VALUE",
      message: expect.stringContaining("curves.align.0") as string,
    });
    rmSync(join(folder, "golden.json"));
  });
});
