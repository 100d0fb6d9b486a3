// Adapter files that are not what they seem end in an error that says so.
import { expect, it } from "vitest";
import { randomWeights, tinyConfig } from "../../test/tiny-model.ts";
import { adapterConfigJson, parseAdapterConfig, readAdapterTensors } from "./adapter-files.ts";
import { languageShapes } from "./llama.ts";
import { type Lora, loraShapes } from "./lora.ts";
import type { TensorReader } from "./weights.ts";

const language = randomWeights(languageShapes(tinyConfig().language));
const lora: Lora = { rank: 2, alpha: 4, targets: ["v_proj"] };
const factors = randomWeights(loraShapes(language.shapes, lora));

const reader = (names: readonly (readonly [string, readonly number[]])[]): TensorReader => ({
  where: "adapter",
  shapes: new Map(names),
  load: (name) => factors.load(name.replace(/^base_model\.model\./, "")),
  close: () => Promise.resolve(),
});
const stored = [...factors.shapes].map(([name, shape]) => [`base_model.model.${name}`, shape] as const);

it("reads an adapter of a bare language model", async () => {
  const adapter = await readAdapterTensors(reader(stored), lora, { language });
  expect(adapter.lora).toEqual(lora);
  expect([...adapter.parts.language!.shapes]).toEqual([...factors.shapes]);
});

it.each([
  ["another rank", stored, { rank: 3, alpha: 4 }, "lora_A.weight [3, 16]"],
  ["one factor alone", stored.slice(1), lora, "lora_A.weight [2, 16]"],
  ["a layer too many", [...stored, [stored[0]![0].replace("layers.0", "layers.9"), [2, 16]] as const], lora, "one of"],
  ["other tensors", [["base_model.model.lm_head.weight", [32, 16]] as const], lora, "LoRA factors"],
  ["nothing", [], lora, "LoRA factors"],
])("refuses %s", async (_, names, scale, said) => {
  await expect(readAdapterTensors(reader(names), scale, { language })).rejects.toMatchObject({
    code: "ADAPTER_MISMATCH",
    message: expect.stringContaining(said) as string,
  });
});

const config = adapterConfigJson({ lora, parts: { language: factors } }, "model");

it("reads the scale of plain and rank-stabilised adapters", () => {
  expect(parseAdapterConfig(config, "c")).toEqual({ rank: 2, alpha: 4, base: "model" });
  expect(parseAdapterConfig({ ...config, use_rslora: true }, "c").alpha).toBeCloseTo(4 * Math.SQRT2);
});

it.each([
  ["peft_type", "IA3"],
  ["use_dora", true],
  ["bias", "all"],
  ["rank_pattern", { q_proj: 4 }],
  ["modules_to_save", ["lm_head"]],
  ["r", undefined],
])("refuses %s: %j", (key, value) => {
  expect(() => parseAdapterConfig({ ...config, [key]: value }, "c")).toThrow(
    expect.objectContaining({ code: "ADAPTER_CONFIG", message: expect.stringContaining(key) as string }),
  );
});
