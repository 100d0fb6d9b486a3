// What must not matter to a step: how its samples are cut into micro-batches, packed into rows and padded.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tinyConfig, tinyJson, tinyModel, type TinyModel } from "../../test/tiny-model.ts";
import type { EncodedSample } from "../data/encode.ts";
import { buildRow } from "../data/pack.ts";
import { microBatches } from "./batches.ts";
import { keepAll, type MemoryPlan } from "./memory-plan.ts";
import { type MicroBatch, microBatch } from "./micro-batch.ts";
import { type BenchOptions, onBench, outcomeDifference, outcomeOf, randomSample, siblings } from "./step.fixture.ts";
import type { StepOptions } from "./update.ts";

const { config } = tinyModel();
const language = config.language;
const adamw: StepOptions = {
  learningRates: { vision: 1e-2, projector: 1e-2, language: 1e-2 },
  betas: [0.9, 0.999],
  epsilon: 1e-8,
  weightDecay: 0.1,
  maxGradNorm: 1,
};

/** Samples of several lengths, with two pictures, one or none. */
const samples = Array.from({ length: 8 }, (_, i) => randomSample(config, i, { length: 14 + 3 * i, pictures: i % 3 }));
/** Each sample in a row of its own. */
const unpacked = (of: readonly EncodedSample[], length: number): MicroBatch =>
  microBatch(
    of.map((sample) => buildRow([sample], length)),
    language,
  );

const tied: TinyModel = tinyModel(tinyConfig({ text_config: { ...tinyJson.text_config, tie_word_embeddings: true } }));
const qwen2: TinyModel = tinyModel(tinyConfig({ text_config: { ...tinyJson.text_config, model_type: "qwen2" } }));
const mistral: TinyModel = tinyModel(
  tinyConfig({ text_config: { ...tinyJson.text_config, model_type: "mistral", sliding_window: 9 } }),
);
const shuffled: TinyModel = tinyModel(tinyConfig({ llava_ts: { projector: "linear", pixel_shuffle: 2 } }));
const severalLayers: TinyModel = tinyModel(tinyConfig({ vision_feature_layer: [-1, 0, -2] }));
const models: [string, BenchOptions][] = [
  ["an untied model", {}],
  ["a tied model", { model: tied }],
  ["biases on q, k and v", { model: qwen2 }],
  ["a projector alone", { trained: ["projector"] }],
  ["a language model alone", { trained: ["language"] }],
  ["a tower that learns", { trained: ["vision", "projector", "language"] }],
  ["a tower alone", { trained: ["vision"] }],
  ["a tower seen from several layers", { model: severalLayers, trained: ["vision", "projector"] }],
];

it.each(models)("accumulates eight rows one by one as it computes them together: %s", async (_, options) => {
  const together = await outcomeOf([unpacked(samples, 48)], options);
  const oneByOne = await outcomeOf(
    samples.map((sample) => unpacked([sample], 48)),
    options,
  );
  expect(together.gradients.size).toBeGreaterThan(3);
  expect(outcomeDifference(oneByOne, together)).toBeLessThan(1e-5);
  expect(Math.abs(oneByOne.gradNorm / together.gradNorm - 1)).toBeLessThan(1e-5);
});

it.each(models)("computes packed samples as it computes each alone: %s", async (_, options) => {
  const layout = { length: 64, tokens: 256, adaptive: true };
  const packed = microBatches(samples, layout, language);
  expect(packed.reduce((rows, batch) => rows + batch.rows, 0)).toBeLessThan(samples.length);
  const apart = await outcomeOf([unpacked(samples, 48)], options);
  expect(outcomeDifference(await outcomeOf(packed, options), apart)).toBeLessThan(1e-5);
});

const shapes = fc.array(fc.record({ length: fc.integer({ min: 14, max: 40 }), pictures: fc.nat(3) }), {
  minLength: 2,
  maxLength: 7,
});

it("computes any samples packed as it computes each alone", async () => {
  await fc.assert(
    fc.asyncProperty(shapes, fc.integer({ min: 40, max: 70 }), async (drawn, length) => {
      const some = drawn.map((shape, i) => randomSample(config, 300 + i, shape));
      const packed = microBatches(some, { length, tokens: 2 * length, adaptive: false }, language);
      const apart = await outcomeOf([unpacked(some, 40)], { tokens: 280 });
      expect(outcomeDifference(await outcomeOf(packed, { length, tokens: 2 * length }), apart)).toBeLessThan(1e-5);
    }),
    { numRuns: 6 },
  );
});

describe("samples behind one copy of their pictures", () => {
  // three about one picture, two about two of another, one about the first picture again, one without a picture
  const about = (key: number, pictures: number, lengths: readonly number[]): EncodedSample[] =>
    siblings(
      config,
      key,
      lengths.map((length) => ({ length, pictures })),
    );
  const some = [...about(1, 1, [20, 14, 31]), ...about(2, 2, [25, 17]), randomSample(config, 9, { length: 12 })];
  const layout = { length: 96, tokens: 192, adaptive: true, share: 3 };
  const tokensOf = (batches: readonly MicroBatch[]): number => batches.reduce((sum, { tokens }) => sum + tokens, 0);
  const given: [string, BenchOptions][] = [
    ...models,
    ["a sliding window", { model: mistral }],
    ["activations computed again", { memory: { activations: "recompute", shared: false } }],
  ];

  it.each(given)("are computed as each alone: %s", async (_, options) => {
    const shared = microBatches(some, layout, language);
    const apart = await outcomeOf([unpacked(some, 48)], options);
    expect(tokensOf(shared)).toBe(tokensOf([unpacked(some, 48)]) - 2 * 5 - 9);
    expect(outcomeDifference(await outcomeOf(shared, options), apart)).toBeLessThan(2e-5);
  });

  it("are computed as each alone, however many and long they are", async () => {
    const families = fc.array(
      fc.record({
        pictures: fc.integer({ min: 1, max: 2 }),
        lengths: fc.array(fc.integer({ min: 12, max: 40 }), { minLength: 1, maxLength: 4 }),
      }),
      { minLength: 1, maxLength: 3 },
    );
    await fc.assert(
      fc.asyncProperty(families, fc.integer({ min: 2, max: 5 }), async (drawn, share) => {
        const all = drawn.flatMap(({ pictures, lengths }, i) => about(500 + i, pictures, lengths));
        const shared = microBatches(all, { length: 64, tokens: 128, adaptive: false, share }, language);
        const apart = await outcomeOf([unpacked(all, 40)], { tokens: 600 });
        expect(outcomeDifference(await outcomeOf(shared, { tokens: 128 }), apart)).toBeLessThan(2e-5);
      }),
      { numRuns: 6 },
    );
  });
});

it("packs pictures that were shuffled into one token", async () => {
  const few = Array.from({ length: 4 }, (_, i) => randomSample(shuffled.config, i, { length: 9 + i, pictures: 2 }));
  const packed = microBatches(few, { length: 32, tokens: 32, adaptive: true }, language);
  expect(packed.length).toBeGreaterThan(1);
  const options = { model: shuffled };
  expect(
    outcomeDifference(await outcomeOf(packed, options), await outcomeOf([unpacked(few, 16)], options)),
  ).toBeLessThan(1e-5);
});

it("computes nothing else in longer rows", async () => {
  const short = await outcomeOf([unpacked(samples, 35)]);
  expect(outcomeDifference(await outcomeOf([unpacked(samples, 64)]), short)).toBeLessThan(1e-5);
});

it("forgets the step before, whatever its shapes were", async () => {
  const [before, after] = [unpacked(samples, 48), unpacked(samples.slice(0, 2), 20)];
  const fresh = await outcomeOf([after]);
  const again = await onBench({}, async ({ stepper, read }) => {
    await stepper.accumulate([before, before]);
    const { loss, gradNorm } = await stepper.accumulate([after]);
    return { loss, gradNorm, gradients: await read("gradient") };
  });
  expect(outcomeDifference(again, fresh)).toBe(0);
});

it("gives a projector that no sample reached gradients of zero", async () => {
  const textOnly = unpacked([randomSample(config, 100, { length: 20 })], 24);
  await onBench({}, async ({ stepper, read }) => {
    await stepper.accumulate([unpacked(samples, 48)]);
    expect((await read("gradient")).get("projector linear_1.weight")!.some((x) => x !== 0)).toBe(true);
    await stepper.accumulate([textOnly]);
    expect((await read("gradient")).get("projector linear_1.weight")!.every((x) => x === 0)).toBe(true);
  });
});

it("computes more trained rows than the head takes at once", async () => {
  const many = Array.from({ length: 16 }, (_, i) => randomSample(config, 200 + i, { length: 64 }));
  const batch = unpacked(many, 64);
  expect(batch.targetIds.length).toBeGreaterThan(512);
  const halves = [unpacked(many.slice(0, 8), 64), unpacked(many.slice(8), 64)];
  const options = { tokens: 1024 };
  expect(outcomeDifference(await outcomeOf([batch], options), await outcomeOf(halves, options))).toBeLessThan(1e-5);
});

describe("memory plans", () => {
  const batch = unpacked(samples, 48);
  const activations = ["keep", "recompute"] as const;

  it.each(activations.flatMap((kept) => [true, false].map((shared) => ({ activations: kept, shared }))))(
    "give the same gradients: %j",
    async (memory) => {
      const plain = await outcomeOf([batch]);
      const planned = await outcomeOf([batch], { memory });
      // what is computed again comes from the same operations, but other neighbours may be fused with it
      const most = memory.activations === "keep" ? 0 : 1e-5;
      expect(outcomeDifference(planned, plain)).toBeLessThanOrEqual(most);
      expect(planned.gradients.size).toBe(plain.gradients.size);
    },
  );

  it("learn the same over several steps, evaluations between them", async () => {
    const losses = (memory: MemoryPlan): Promise<number[]> =>
      onBench({ memory }, async ({ stepper }) => {
        const seen: number[] = [];
        for (let step = 1; step <= 4; step++) {
          const { loss, gradNorm } = await stepper.accumulate([batch]);
          await stepper.update(step, gradNorm, adamw);
          seen.push(loss, await stepper.evaluate([unpacked(samples.slice(0, 2), 20), batch]));
        }
        return seen;
      });
    expect(await losses({ activations: "keep", shared: true })).toEqual(await losses(keepAll));
  });

  it("refuse a second micro-batch where gradients lie over activations", async () => {
    const two = outcomeOf([batch, batch], { memory: { activations: "keep", shared: true } });
    await expect(two).rejects.toMatchObject({ code: "STEP_SHARED" });
  });
});

it("evaluates to the loss of training, and changes nothing", async () => {
  const batches = [unpacked(samples.slice(0, 5), 48), unpacked(samples.slice(5), 48)];
  await onBench({}, async ({ stepper, read }) => {
    const { loss } = await stepper.accumulate(batches);
    const before = await read("gradient");
    expect(Math.abs((await stepper.evaluate(batches)) - loss)).toBeLessThan(1e-6);
    expect(await read("gradient")).toEqual(before);
  });
});

it("reports the norm of all gradients", async () => {
  const { gradNorm, gradients } = await outcomeOf([unpacked(samples, 48)]);
  const squares = [...gradients.values()].reduce((sum, each) => each.reduce((total, x) => total + x * x, sum), 0);
  expect(Math.abs(gradNorm / Math.sqrt(squares) - 1)).toBeLessThan(1e-6);
});

it.each([["vision"], ["projector"], ["language"]] as const)(
  "changes every weight of the %s alone when it alone is trained",
  async (part) => {
    await onBench({ trained: [part] }, async ({ stepper, read }) => {
      const before = await read("parameter");
      for (let step = 1; step <= 3; step++) {
        const { gradNorm } = await stepper.accumulate([unpacked(samples, 48)]);
        await stepper.update(step, gradNorm, adamw);
      }
      for (const [name, values] of await read("parameter")) {
        const same = values.every((x, i) => Object.is(x, before.get(name)![i]));
        expect([name, same]).toEqual([name, !name.startsWith(part)]);
      }
    });
  },
);

it("learns through a tower that learns, and gives it gradients of zero where no sample has a picture", async () => {
  const textOnly = unpacked([randomSample(config, 100, { length: 20 })], 24);
  await onBench({ trained: ["vision"] }, async ({ stepper, read }) => {
    const seen: number[] = [];
    for (let step = 1; step <= 20; step++) {
      const { loss, gradNorm } = await stepper.accumulate([unpacked(samples, 48)]);
      seen.push(loss);
      await stepper.update(step, gradNorm, { ...adamw, weightDecay: 0 });
    }
    expect(seen.at(-1)).toBeLessThan(seen[0]! - 0.01);
    expect(await stepper.evaluate([unpacked(samples, 48)])).toBeLessThan(seen.at(-1)!);
    const { gradNorm } = await stepper.accumulate([textOnly]);
    expect(gradNorm).toBe(0);
    expect((await read("gradient")).get("vision patch.weight")!.every((x) => x === 0)).toBe(true);
  });
});

it("learns a batch by heart, and gives the same numbers every time", async () => {
  const losses = (): Promise<number[]> =>
    onBench({}, async ({ stepper }) => {
      const seen: number[] = [];
      for (let step = 1; step <= 30; step++) {
        const { loss, gradNorm } = await stepper.accumulate([unpacked(samples, 48)]);
        seen.push(loss);
        await stepper.update(step, gradNorm, { ...adamw, weightDecay: 0 });
      }
      return seen;
    });
  const first = await losses();
  expect(first.at(-1)).toBeLessThan(0.5 * first[0]!);
  expect(await losses()).toEqual(first);
});

it("takes a step no longer than the clipped gradient allows", async () => {
  // with β₁ = β₂ = 0 and a large ε, AdamW's step is learning rate · clipped gradient / ε
  const epsilon = 1e6;
  await onBench({ trained: ["projector"] }, async ({ stepper, read }) => {
    const before = await read("parameter");
    const { gradNorm } = await stepper.accumulate([unpacked(samples, 48)]);
    const gradients = await read("gradient");
    const maxGradNorm = gradNorm / 4;
    await stepper.update(1, gradNorm, {
      ...adamw,
      learningRates: { projector: epsilon },
      betas: [0, 0],
      epsilon,
      weightDecay: 0,
      maxGradNorm,
    });
    const after = await read("parameter");
    for (const [name, gradient] of gradients) {
      const largest = gradient.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      gradient.forEach((g, i) => {
        const moved = before.get(name)![i]! - after.get(name)![i]!;
        expect(Math.abs(moved - g / 4)).toBeLessThan(1e-4 * largest + 1e-6);
      });
    }
  });
});

it("refuses a gradient that is not finite", async () => {
  await onBench({}, async ({ stepper }) => {
    await expect(stepper.update(7, Number.NaN, adamw)).rejects.toMatchObject({
      code: "TRAIN_NOT_FINITE",
      message: expect.stringContaining("step 7") as string,
    });
  });
});
