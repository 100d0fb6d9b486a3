import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tinyConfig } from "../../test/tiny-model.ts";
import { documentsOf, microBatches, packStep, planSteps, rowLayout, type RowLayout, type StepPlan } from "./batches.ts";
import { randomSample, siblings } from "./step.fixture.ts";

const config = tinyConfig();
const allOf = (plan: StepPlan): number[] =>
  Array.from({ length: plan.steps }, (_, i) => [...plan.samplesOf(i + 1)]).flat();
const sizes = fc.record({
  count: fc.integer({ min: 1, max: 60 }),
  batchSize: fc.integer({ min: 1, max: 20 }),
  seed: fc.integer(),
});

describe("planSteps", () => {
  it("shows every sample once an epoch, batches running on from one epoch into the next", () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 4 }), ({ count, batchSize, seed }, epochs) => {
        const plan = planSteps(count, batchSize, { epochs }, seed);
        const shown = allOf(plan);
        expect(shown).toHaveLength(epochs * count);
        for (let epoch = 0; epoch < epochs; epoch++) {
          const once = shown.slice(epoch * count, (epoch + 1) * count).toSorted((a, b) => a - b);
          expect(once).toEqual(Array.from({ length: count }, (_, i) => i));
        }
        for (let step = 1; step < plan.steps; step++) expect(plan.samplesOf(step)).toHaveLength(batchSize);
      }),
    );
  });

  it("is a pure function: steps asked for in any order, again, or of another plan of the same seed are the same", () => {
    fc.assert(
      fc.property(
        sizes,
        fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 20 }),
        ({ count, batchSize, seed }, asked) => {
          const [one, other] = [
            planSteps(count, batchSize, { steps: 30 }, seed),
            planSteps(count, batchSize, { steps: 30 }, seed),
          ];
          const inOrder = Array.from({ length: 30 }, (_, i) => one.samplesOf(i + 1));
          for (const step of asked) {
            expect(other.samplesOf(step)).toEqual(inOrder[step - 1]);
            expect(one.samplesOf(step)).toEqual(inOrder[step - 1]);
          }
        },
      ),
    );
  });

  it("counts steps and parts of epochs", () => {
    expect(planSteps(10, 4, { steps: 7 }, 0).steps).toBe(7);
    expect(allOf(planSteps(10, 4, { steps: 7 }, 0))).toHaveLength(28);
    const half = planSteps(10, 4, { epochs: 0.5 }, 0);
    expect([half.steps, half.samplesOf(2).length]).toEqual([2, 1]);
  });

  it("orders by the seed, and each epoch otherwise", () => {
    const orders = [1, 2].map((seed) => allOf(planSteps(40, 8, { epochs: 2 }, seed)));
    expect(orders[0]).not.toEqual(orders[1]);
    expect(orders[0]!.slice(0, 40)).not.toEqual(orders[0]!.slice(40));
  });
});

describe("documentsOf", () => {
  const about = (key: number, lengths: readonly number[]) =>
    siblings(
      config,
      key,
      lengths.map((length) => ({ length, pictures: 1 })),
    );

  it("joins samples about a picture up to a row's length, never cutting one", () => {
    const samples = [...about(1, [300, 300, 300, 200]), ...about(2, [20, 30])];
    const tokens = (share: number | undefined, wanted: number | "auto" = "auto"): number[] =>
      documentsOf(samples, rowLayout(300, wanted, share)).map(({ ids }) => ids.length);
    // the first word and the picture's four places are shared; rows of up to 640
    expect(tokens(4)).toEqual([300 + 295, 300 + 195, 20 + 25]);
    expect(tokens(2)).toEqual([300 + 295, 300 + 195, 20 + 25]);
    expect(tokens(4, 1100)).toEqual([300 + 295 + 295 + 195, 20 + 25]);
    expect(tokens(undefined)).toEqual([300, 300, 300, 200, 20, 30]);
  });

  it("shows a shared picture once", () => {
    const samples = about(1, [20, 30, 25]);
    const [batch] = microBatches(samples, rowLayout(30, "auto", 3), config.language);
    expect(batch).toMatchObject({ rows: 1, length: 128, tokens: 20 + 25 + 20 });
    expect(batch!.pictures).toEqual([{ start: 1, length: 4, image: "1-0" }]);
  });
});

describe("packStep", () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 40 });

  it("keeps every document whole, in one row, within the layout", () => {
    fc.assert(
      fc.property(lengths, (documents) => {
        const layout = rowLayout(Math.max(...documents), "auto");
        const { length, rows } = packStep(documents, layout);
        expect(length).toBeLessThanOrEqual(layout.length);
        expect(length % 32).toBe(0);
        expect(rows.flat().toSorted((a, b) => a - b)).toEqual(documents.map((_, i) => i));
        for (const row of rows) expect(row.reduce((sum, i) => sum + documents[i]!, 0)).toBeLessThanOrEqual(length);
      }),
    );
  });

  it("never costs more than rows of the longest length, products and attention together", () => {
    fc.assert(
      fc.property(lengths, (documents) => {
        const layout = rowLayout(Math.max(...documents), "auto");
        const cost = (of: RowLayout): number => {
          const { rows, length } = packStep(documents, of);
          return rows.length * length * (2500 + length);
        };
        expect(cost(layout)).toBeLessThanOrEqual(cost({ ...layout, adaptive: false }));
      }),
    );
  });

  it("keeps a length that was asked for", () => {
    const layout = rowLayout(90, 200);
    expect(layout).toMatchObject({ length: 200, adaptive: false });
    expect(packStep([10, 90, 30], layout)).toEqual({ length: 200, rows: [[0, 1, 2]] });
  });
});

describe("microBatches", () => {
  it("holds every sample once, in micro-batches within the layout's tokens", () => {
    const shapes = fc.array(
      fc.record({ length: fc.integer({ min: 10, max: 90 }), pictures: fc.integer({ min: 0, max: 2 }) }),
      {
        minLength: 1,
        maxLength: 12,
      },
    );
    fc.assert(
      fc.property(shapes, fc.integer({ min: 96, max: 400 }), (wanted, tokens) => {
        const samples = wanted.map((shape, i) => randomSample(config, i, shape));
        const batches = microBatches(samples, { length: 96, tokens, adaptive: true }, config.language);
        for (const { rows, length } of batches) expect(rows * length).toBeLessThanOrEqual(tokens);
        expect(batches.reduce((sum, batch) => sum + batch.tokens, 0)).toBe(
          wanted.reduce((sum, { length }) => sum + length, 0),
        );
        const images = batches.flatMap((batch) => batch.pictures.map(({ image }) => image));
        expect(images.toSorted()).toEqual(samples.flatMap((sample) => sample.images).toSorted());
        const learned = samples.reduce(
          (sum, { labels }) => sum + labels.subarray(1).filter((id) => id !== -100).length,
          0,
        );
        expect(batches.reduce((sum, batch) => sum + batch.targetIds.length, 0)).toBe(learned);
      }),
      { numRuns: 50 },
    );
  });
});
