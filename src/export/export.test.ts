// Exports as folders: whole or absent, nothing overwritten unasked, each refusal before a byte is written.
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openLlava } from "../models/node.ts";
import { bfloat16ToFloat32, float32ToBfloat16 } from "../formats/half.ts";
import { tinyJson } from "../../test/tiny-model.ts";
import { writeTinyLlava } from "../../test/tiny-export.ts";
import { exportModel } from "./export.ts";

let root: string;
let model: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "export-"));
  model = join(root, "model");
  await writeTinyLlava(model);
});
afterAll(() => rm(root, { recursive: true }));
const at = (name: string): string => join(root, name);

describe("hf", () => {
  it("holds the same weights, whole or in shards", async () => {
    await exportModel(model, { to: "hf", out: at("whole") });
    await exportModel(model, { to: "hf", out: at("shards"), shardBytes: 5000 });
    const names = await readdir(at("shards"));
    expect(names.filter((name) => name.endsWith(".safetensors")).length).toBeGreaterThan(3);
    expect(names).toContain("model.safetensors.index.json");
    const files = await Promise.all([model, at("whole"), at("shards")].map((path) => openLlava(path)));
    for (const part of ["vision", "projector", "language"] as const) {
      for (const name of files[0]![part].shapes.keys()) {
        const [source, ...exports] = await Promise.all(files.map((one) => one[part].load(name)));
        for (const values of exports) expect(values).toEqual(source);
      }
    }
    await Promise.all(files.map((one) => one.close()));
  });

  it("rounds to bfloat16 and says so", async () => {
    await exportModel(model, { to: "hf", out: at("bf16"), dtype: "BF16" });
    const config = JSON.parse(await readFile(join(at("bf16"), "config.json"), "utf8")) as { torch_dtype: string };
    expect(config.torch_dtype).toBe("bfloat16");
    const [before, after] = await Promise.all([openLlava(model), openLlava(at("bf16"))]);
    const values = await before.projector.load("linear_1.weight");
    expect(await after.projector.load("linear_1.weight")).toEqual(bfloat16ToFloat32(float32ToBfloat16(values)));
    await Promise.all([before.close(), after.close()]);
  });

  const vit = { ...tinyJson.vision_config, model_type: "vit" };
  it.each([
    ["ViT", { vision_config: vit }],
    ["pixel shuffle", { llava_ts: { pixel_shuffle: 2 } }],
    ["one", { llava_ts: { projector: "linear" } }],
    ["tiles", { llava_ts: { tiles: 4 } }],
  ])("refuses what transformers has no place for: %s", async (got, changes) => {
    const folder = await mkdtemp(join(root, "odd-"));
    await writeTinyLlava(join(folder, "model"), changes as Record<string, object>);
    const exported = exportModel(join(folder, "model"), { to: "hf", out: join(folder, "out") });
    await expect(exported).rejects.toMatchObject({ code: "EXPORT_UNSUPPORTED", exitCode: 2 });
    await expect(exported).rejects.toThrow(got);
    expect(await readdir(folder)).toEqual(["model"]);
  });
});

describe("an output folder", () => {
  it("is not replaced unasked, and then by a whole export", async () => {
    await exportModel(model, { to: "hf", out: at("twice"), dtype: "F32" });
    const before = await readFile(join(at("twice"), "config.json"), "utf8");
    await expect(exportModel(model, { to: "hf", out: at("twice"), dtype: "F16" })).rejects.toMatchObject({
      code: "OUTPUT_EXISTS",
    });
    expect(await readFile(join(at("twice"), "config.json"), "utf8")).toBe(before);
    await exportModel(model, { to: "hf", out: at("twice"), dtype: "F16", force: true });
    expect(await readFile(join(at("twice"), "config.json"), "utf8")).toContain("float16");
  });

  it("that holds other things stays, even with force; so does the model itself", async () => {
    await mkdir(at("photos"));
    await writeFile(join(at("photos"), "a.txt"), "mine");
    const exportTo = (out: string) => exportModel(model, { to: "hf", out, force: true });
    await expect(exportTo(at("photos"))).rejects.toMatchObject({ code: "OUTPUT_NOT_A_MODEL" });
    expect(await readdir(at("photos"))).toEqual(["a.txt"]);
    await expect(exportTo(model)).rejects.toMatchObject({ code: "OUT_IS_SOURCE" });
  });

  it("does not appear when writing fails", async () => {
    const folder = await mkdtemp(join(root, "broken-"));
    await writeTinyLlava(join(folder, "model"));
    await rm(join(folder, "model", "tokenizer.json"));
    await expect(exportModel(join(folder, "model"), { to: "hf", out: join(folder, "out") })).rejects.toMatchObject({
      code: "FILE_MISSING",
    });
    expect(await readdir(folder)).toEqual(["model"]);
  });
});

it("refuses unknown doors and options that a door has not", async () => {
  const out = at("never");
  await expect(exportModel(model, { to: "tf", out })).rejects.toMatchObject({ code: "EXPORT_UNKNOWN" });
  await expect(exportModel(model, { to: "hf", out, quantize: "Q4_0" })).rejects.toMatchObject({
    code: "EXPORT_OPTION",
  });
});

it("merges an adapter on the way", async () => {
  const [folder, adapter] = [at("adapted"), fromGolden("adapter-tiny")];
  await cp(fromGolden("llava-tiny"), folder, { recursive: true });
  for (const name of ["tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"]) {
    await cp(join(model, name), join(folder, name));
  }
  await exportModel(folder, { to: "hf", out: at("merged"), adapter });
  const [plain, expected, merged] = [
    await openLlava(folder),
    await openLlava(folder, { adapter }),
    await openLlava(at("merged")),
  ];
  const name = "model.layers.0.self_attn.q_proj.weight";
  const values = await merged.language.load(name);
  expect(values).toEqual(await expected.language.load(name));
  expect(values).not.toEqual(await plain.language.load(name));
  await Promise.all([plain.close(), expected.close(), merged.close()]);
});

const fromGolden = (name: string): string => fileURLToPath(new URL(`../../test/golden/${name}`, import.meta.url));

describe("the card", () => {
  it("keeps what the model's own card says and tells how this form is run", async () => {
    const own = join(at("carded"), "README.md");
    await writeTinyLlava(at("carded"));
    await writeFile(own, "# Mine\n\ndata: photos\n\n<!-- how to run -->\nold\n<!-- /how to run -->\n\nend\n");
    await exportModel(at("carded"), { to: "hf", out: at("carded-hf") });
    const card = await readFile(join(at("carded-hf"), "README.md"), "utf8");
    expect(card).toMatch(/^# Mine\n\ndata: photos\n\n<!-- how to run -->/);
    expect(card).toContain("LlavaForConditionalGeneration.from_pretrained");
    expect(card).not.toContain("\nold\n");
    expect(card.endsWith("end\n")).toBe(true);
  });

  it("is made from the config where the model has none", async () => {
    const card = await readFile(join(at("whole"), "README.md"), "utf8");
    expect(card).toMatch(/^---\npipeline_tag: image-text-to-text\n---\n\n# whole/);
    expect(card).toContain("16×16 pixels in patches of 8");
  });
});
