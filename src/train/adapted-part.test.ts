// Adapters: they compute what merged weights compute, have the right gradients, and leave everything else as it is.
import { describe, expect, it } from "vitest";
import { lab } from "../../test/lab.ts";
import { noWeights, randomWeights, tinyConfig, tinyJson, tinyModel, type TinyModel } from "../../test/tiny-model.ts";
import { buildRow } from "../data/pack.ts";
import { dequantise } from "../formats/q4.ts";
import { openLanguage } from "../models/node.ts";
import { factorNames, type Lora, loraScale, loraShapes, loraTargets, mergedWeights } from "../models/lora.ts";
import { roundedToBlocks } from "../models/quantise.ts";
import type { PartWeights } from "../models/weights.ts";
import type { Engine } from "../runtime/engine.ts";
import { freshAdapter, loadAdapted } from "./adapted-part.ts";
import { type MicroBatch, microBatch } from "./micro-batch.ts";
import { loadPart } from "./parameters.ts";
import { type BenchOptions, onBench, outcomeDifference, outcomeOf, randomSample } from "./step.fixture.ts";
import type { StepOptions } from "./update.ts";

const model: TinyModel = tinyModel(
  // rows of 32 and 64, so that blocks fit them
  tinyConfig({ text_config: { ...tinyJson.text_config, hidden_size: 32, intermediate_size: 64 } }),
);
const adamw: StepOptions = {
  learningRates: { projector: 1e-2, language: 1e-2 },
  betas: [0.9, 0.999],
  epsilon: 1e-8,
  weightDecay: 0.1,
  maxGradNorm: 1,
};
const all: Lora = { rank: 3, alpha: 6, targets: [...loraTargets.language, ...loraTargets.projector] };
const few: Lora = { rank: 2, alpha: 1, targets: ["v_proj", "down_proj"] };

const batchOf = (keys: readonly number[]): MicroBatch =>
  microBatch(
    keys.map((key) => buildRow([randomSample(model.config, key, { length: 20 + key, pictures: key % 3 })], 32)),
    model.config.language,
  );
const batch = batchOf([0, 1, 2, 3, 4]);

/** Factors that are not zero, so that both of them matter. */
const factors = (weights: PartWeights, lora: Lora): PartWeights => randomWeights(loraShapes(weights.shapes, lora), 1);

const adapted = (lora: Lora, blocks = false): BenchOptions => ({
  model,
  load: async (engine, { projector, language }) => {
    const adapter = { lora, weights: factors(projector, lora) };
    return {
      projector: await loadAdapted(engine, "projector", projector, {
        blocks: false,
        ...(adapter.weights.shapes.size > 0 && { adapter }),
      }),
      language: await loadAdapted(engine, "language", language, {
        blocks,
        adapter: { lora, weights: factors(language, lora) },
      }),
    };
  },
});

interface Sizes {
  readonly out: number;
  readonly inner: number;
  readonly rank: number;
  readonly scale: number;
}

function gradientOfA(dW: Float32Array, b: Float32Array, { out, inner, rank, scale }: Sizes): Float32Array {
  const total = (r: number, i: number): number =>
    Array.from({ length: out }, (_, o) => b[o * rank + r]! * dW[o * inner + i]!).reduce((sum, x) => sum + x, 0);
  return Float32Array.from({ length: rank * inner }, (_, at) => scale * total(Math.floor(at / inner), at % inner));
}

function gradientOfB(dW: Float32Array, a: Float32Array, { out, inner, rank, scale }: Sizes): Float32Array {
  const total = (o: number, r: number): number =>
    Array.from({ length: inner }, (_, i) => a[r * inner + i]! * dW[o * inner + i]!).reduce((sum, x) => sum + x, 0);
  return Float32Array.from({ length: out * rank }, (_, at) => scale * total(Math.floor(at / rank), at % rank));
}

describe.each([
  ["all layers", all],
  ["some layers", few],
])("an adapter of %s", (_, lora) => {
  // W + s·B·A: dA = s·Bᵀ·dW and dB = s·dW·Aᵀ, and dW is known from training all weights
  it("computes what the merged weights compute, and its gradients follow from theirs", async () => {
    const merged: TinyModel = {
      ...model,
      projector: mergedWeights(model.projector, factors(model.projector, lora), lora),
      language: mergedWeights(model.language, factors(model.language, lora), lora),
    };
    const [apart, together] = [await outcomeOf([batch], adapted(lora)), await outcomeOf([batch], { model: merged })];
    const wanted = new Map<string, Float32Array>();
    for (const part of ["projector", "language"] as const) {
      const of = factors(model[part], lora);
      for (const [weight, [out, inner]] of model[part].shapes) {
        const { a, b } = factorNames(weight);
        if (!of.shapes.has(a)) continue;
        const dW = together.gradients.get(`${part} ${weight}`)!;
        const sized = { out: out!, inner: inner!, rank: lora.rank, scale: loraScale(lora) };
        wanted.set(`${part} ${a}`, gradientOfA(dW, await of.load(b), sized));
        wanted.set(`${part} ${b}`, gradientOfB(dW, await of.load(a), sized));
      }
    }
    expect(wanted.size).toBe(apart.gradients.size);
    // merging rounds once more
    expect(outcomeDifference(apart, { ...together, gradients: wanted })).toBeLessThan(1e-4);
  });

  it("sums the gradients of several micro-batches", async () => {
    const parts = [batchOf([0]), batchOf([1, 2]), batchOf([3, 4])];
    expect(
      outcomeDifference(await outcomeOf(parts, adapted(lora)), await outcomeOf([batch], adapted(lora))),
    ).toBeLessThan(1e-5);
  });
});

it("learns, and leaves all other weights as they are", async () => {
  await onBench(adapted(few), async ({ stepper, read }) => {
    const before = await read("parameter");
    const losses: number[] = [];
    for (let step = 1; step <= 10; step++) {
      const { loss, gradNorm } = await stepper.accumulate([batch]);
      losses.push(loss);
      await stepper.update(step, gradNorm, adamw);
    }
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    for (const [name, values] of await read("parameter")) {
      const same = values.every((x, i) => Object.is(x, before.get(name)![i]));
      expect([name, same]).toEqual([name, !name.includes("lora_")]);
    }
  });
});

describe("a base in 4-bit blocks", () => {
  const rounded: TinyModel = { ...model, language: roundedToBlocks(model.language) };

  it("computes with the values that its blocks stand for, forward and backward", async () => {
    const got = await outcomeOf([batch], adapted(all, true));
    expect(outcomeDifference(got, await outcomeOf([batch], { ...adapted(all), model: rounded }))).toBe(0);
    expect(outcomeDifference(got, await outcomeOf([batch], adapted(all)))).toBeGreaterThan(1e-3);
  });

  it("is frozen under a projector that learns", async () => {
    const load: BenchOptions["load"] = async (engine: Engine, { projector, language }) => ({
      projector: await loadPart(engine, "projector", projector, true),
      language: await loadAdapted(engine, "language", language, { blocks: true }),
    });
    const got = await outcomeOf([batch], { model, load });
    expect([...got.gradients.keys()].every((name) => name.startsWith("projector"))).toBe(true);
    const wanted = await outcomeOf([batch], { model: rounded, trained: ["projector"] });
    expect(outcomeDifference(got, wanted)).toBe(0);
  });
});

it("begins as nothing: a new adapter changes no output, and is a pure function of its seed", async () => {
  const fresh = (seed: number): PartWeights => freshAdapter(model.language.shapes, all, seed);
  const merged = mergedWeights(model.language, fresh(1), all);
  const name = "model.layers.1.mlp.up_proj.weight";
  expect(await merged.load(name)).toEqual(await model.language.load(name));
  const a = "model.layers.1.mlp.up_proj.lora_A.weight";
  expect(await fresh(1).load(a)).toEqual(await fresh(1).load(a));
  expect(await fresh(1).load(a)).not.toEqual(await fresh(2).load(a));
  expect(freshAdapter(noWeights.shapes, all, 1).shapes.size).toBe(0);
});

it.skipIf(!lab.present)("takes the blocks of a GGUF file as they are (needs the lab's shared folder)", async () => {
  const files = await openLanguage(lab.path("models/smollm2-135m-instruct"));
  try {
    const name = "model.layers.0.self_attn.q_proj.weight";
    const blocks = await files.weights.blocks!(name);
    const values = await files.weights.load(name);
    const read = new Float32Array(values.length);
    dequantise(blocks!, read);
    expect(read).toEqual(values);
  } finally {
    await files.close();
  }
});
