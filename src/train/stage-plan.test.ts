// Which memory plan a stage gets, and that its prediction counts what is allocated.
import { describe, expect, it } from "vitest";
import { tinyModel } from "../../test/tiny-model.ts";
import { add, exp, multiply } from "../graph/build.ts";
import { graph, input } from "../graph/graph.ts";
import { planSteps, rowLayout } from "./batches.ts";
import { adamw } from "./optimisers/adamw.ts";
import { workingBytes } from "./predict-memory.ts";
import type { StageRecipe } from "./recipe.ts";
import type { StageData } from "./stage-data.ts";
import { planStage } from "./stage-plan.ts";
import { randomSample } from "./step.fixture.ts";

const { config } = tinyModel();

function stageOf(length: number, count: number, batchSize: number, train: StageRecipe["train"]): StageData {
  const samples = Array.from({ length: count }, (_, i) => randomSample(config, i, { length }));
  const stage = { name: "one", train, optimizer: "adamw", seed: 0 } as unknown as StageRecipe;
  const plan = planSteps(count, batchSize, { epochs: 1 }, 0);
  return { stage, samples, pictures: [], layout: rowLayout(length, "auto"), plan } as unknown as StageData;
}
const plan = (data: StageData, total = 64e9) => planStage(data, { config, optimiser: adamw, total });

describe("planStage", () => {
  it("lays gradients over activations where every step is one micro-batch", () => {
    expect(plan(stageOf(100, 20, 8, ["language"])).memory).toEqual({ activations: "keep", shared: true });
    const several = plan(stageOf(100, 40, 20, ["language"]));
    expect(several.memory).toEqual({ activations: "keep", shared: false });
    expect(several.work.every(({ rows }) => rows.length > 1)).toBe(true);
    // nothing to lay anywhere
    expect(plan(stageOf(100, 20, 8, ["projector"])).memory.shared).toBe(false);
  });

  it("computes activations again where they do not fit, and says so", () => {
    const data = stageOf(100, 20, 8, ["language"]);
    const keep = plan(data);
    const tight = plan(data, keep.bytes);
    expect(tight.memory).toEqual({ activations: "recompute", shared: true });
    expect(tight.bytes).toBeLessThan(keep.bytes);
    expect(tight.why).toContain("computed again");
    expect(plan(data, 1000).why).toContain("may not fit");
  });

  it("takes less for what is frozen, and more for longer rows", () => {
    const trained = plan(stageOf(100, 20, 8, ["projector", "language"])).bytes;
    expect(plan(stageOf(100, 20, 8, ["projector"])).bytes).toBeLessThan(trained);
    expect(plan(stageOf(2000, 20, 8, ["projector", "language"])).bytes).toBeGreaterThan(trained);
  });
});

it("counts the values of a graph that live together", () => {
  const x = input("x", "float32", [256]);
  // exp and its double live together; the input and the output lie elsewhere
  const doubled = multiply(exp(x), 2);
  expect(workingBytes(graph("chain", { y: exp(exp(exp(x))) }))).toBe(2 * 1024);
  expect(workingBytes(graph("kept", { y: add(exp(doubled), doubled) }))).toBe(2 * 1024);
});
