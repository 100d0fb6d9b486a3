// What every optimiser is given: one clip for all parts together, and decay for matrices alone.
import { describe, expect, it } from "vitest";
import { tinyConfig, tinyJson, tinyModel } from "../../test/tiny-model.ts";
import { buildRow } from "../data/pack.ts";
import { microBatch } from "./micro-batch.ts";
import { optimiserNames } from "./optimisers/registry.ts";
import { onBench, randomSample } from "./step.fixture.ts";

/** With biases on q, k and v, so that language and projector both have matrices, biases and norms. */
const model = tinyModel(tinyConfig({ text_config: { ...tinyJson.text_config, model_type: "qwen2" } }));
const batch = microBatch(
  [0, 1, 2].map((key) => buildRow([randomSample(model.config, key, { length: 24, pictures: 1 })], 32)),
  model.config.language,
);
const options = { betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 0, maxGradNorm: 0 } as const;

it("scales all parts by one factor, so that the gradient's norm over all of them is the limit", async () => {
  await onBench({ model }, async ({ stepper, read }) => {
    const before = await read("parameter");
    const { gradNorm } = await stepper.accumulate([batch]);
    const gradients = await read("gradient");
    const maxGradNorm = gradNorm / 3;
    // with β₁ = β₂ = 0 and a large ε, AdamW's step is learning rate · clipped gradient / ε
    const huge = 1e6;
    const learningRates = { projector: huge, language: huge };
    await stepper.update(1, gradNorm, { ...options, betas: [0, 0], epsilon: huge, learningRates, maxGradNorm });
    const after = await read("parameter");
    const moved: Record<string, number> = { projector: 0, language: 0 };
    for (const [name, gradient] of gradients) {
      gradient.forEach((g, i) => {
        const step = before.get(name)![i]! - after.get(name)![i]!;
        expect(Math.abs(step - g / 3)).toBeLessThan(1e-4 * Math.abs(g) + 1e-6);
        moved[name.split(" ")[0]!]! += step ** 2;
      });
    }
    expect(Math.min(moved["projector"]!, moved["language"]!)).toBeGreaterThan(0);
    expect(Math.sqrt(moved["projector"]! + moved["language"]!) / maxGradNorm).toBeCloseTo(1, 3);
  });
});

describe.each(optimiserNames)("%s", (optimizer) => {
  it("shrinks matrices by rate · decay, and leaves biases and norms alone (as LLaVA's trainer)", async () => {
    await onBench({ model, optimizer }, async ({ engine, parts, stepper, read }) => {
      const before = await read("parameter");
      const pass = engine.pass();
      for (const { trained } of Object.values(parts)) {
        for (const buffer of trained!.gradients) pass.call({ kernel: "fill", buffer, value: 0 });
      }
      await pass.submit();
      const learningRates = { projector: 0.02, language: 0.04 };
      await stepper.update(1, 0, { ...options, learningRates, weightDecay: 0.5 });
      const kinds = new Set<string>();
      for (const [name, values] of await read("parameter")) {
        const [part, key] = name.split(" ") as [keyof typeof learningRates, string];
        const matrix = parts[part].shapes.get(key)!.length > 1;
        const factor = Math.fround(matrix ? 1 - 0.5 * learningRates[part] : 1);
        expect([name, values.every((x, i) => x === Math.fround(before.get(name)![i]! * factor))]).toEqual([name, true]);
        kinds.add(matrix ? "matrix" : /norm/.test(key) ? "norm" : "bias");
      }
      expect(kinds.size).toBe(3);
    });
  });
});
