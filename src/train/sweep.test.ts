import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runFigures, sortResults, type SweepResult } from "./sweep-results.ts";
import { sweepVariants } from "./sweep.ts";

describe("a sweep's variants", () => {
  it("are the grid of all values, named by what tells them apart", () => {
    const variants = sweepVariants(["stages.align.learning_rate=1e-3,2e-3", "seed=0,1"]);
    expect(variants.map(({ name }) => name)).toEqual([
      "learning_rate=1e-3,seed=0",
      "learning_rate=1e-3,seed=1",
      "learning_rate=2e-3,seed=0",
      "learning_rate=2e-3,seed=1",
    ]);
    expect(variants[1]).toMatchObject({
      overrides: ["stages.align.learning_rate=1e-3", "seed=1"],
      values: { learning_rate: "1e-3", seed: "1" },
    });
  });

  it("have longer names where keys end alike, and names of their own where values look alike", () => {
    const [first] = sweepVariants(["stages.align.epochs=1,2", "stages.instruct.epochs=1,2"]);
    expect(first!.name).toBe("align.epochs=1,instruct.epochs=1");
    const names = sweepVariants(['model.language.path=a/b,a:b,"a, b"']).map(({ name }) => name);
    expect(names).toEqual(["path=a-b", "path=a-b-2", "path=a-b-3"]);
  });

  it("keep lists and mappings whole", () => {
    const [one, two] = sweepVariants(["s.train=[projector],[projector, language]"]);
    expect([one!.name, two!.name]).toEqual(["train=projector", "train=projector-language"]);
    expect(two!.overrides).toEqual(["s.train=[projector, language]"]);
    expect(sweepVariants(["x={a: 1, b: [2,3]},'4,5'"]).map(({ overrides }) => overrides[0])).toEqual([
      "x={a: 1, b: [2,3]}",
      "x='4,5'",
    ]);
  });

  it("are as many as the product, all names different and fit for a folder, whatever the values", () => {
    const value = fc
      .string({ minLength: 1, maxLength: 12 })
      .filter((text) => !/[,"'[\]{}]/.test(text) && text.trim() !== "");
    const values = fc.uniqueArray(value, { minLength: 1, maxLength: 5, selector: (text) => text.trim() });
    fc.assert(
      fc.property(values, values, (a, b) => {
        const variants = sweepVariants([`x.k=${a.join(",")}`, `y.k=${b.join(",")}`]);
        expect(variants).toHaveLength(a.length * b.length);
        expect(new Set(variants.map(({ name }) => name.toLowerCase())).size).toBe(variants.length);
        for (const { name } of variants) expect(name).toMatch(/^[A-Za-z0-9][A-Za-z0-9._+=,-]*$/);
      }),
    );
  });

  it.each([
    ["no value", ["seed"], /KEY=VALUE/],
    ["an empty value", ["seed=1,,2"], /a value on both sides/],
    ["a value twice", ["seed=1,2, 1"], /1 twice/],
    ["a key twice", ["seed=1", "seed=2"], /seed twice/],
    ["too many", Array.from({ length: 10 }, (_, i) => `k${i}=1,2`), /at most 1000 combinations, got 1024/],
  ])("refuse %s", (_, sweeps, message) => {
    expect(() => sweepVariants(sweeps)).toThrow(
      expect.objectContaining({ code: "SWEEP", message: expect.stringMatching(message) }),
    );
  });
});

describe("a sweep's results", () => {
  const result = (name: string, figures: Partial<SweepResult>): SweepResult => ({
    name,
    values: {},
    output: name,
    ...figures,
  });

  it("show the best first and failures last", () => {
    const results = [
      result("failed", { failed: "x" }),
      result("a", { held_out_loss: 2, score: 0.6, loss: 1 }),
      result("b", { held_out_loss: 1, score: 0.5, loss: 3 }),
      result("gone", { failed: "y" }),
    ];
    const order = (by: Parameters<typeof sortResults>[1]) => sortResults(results, by).map(({ name }) => name);
    expect(order("held_out_loss")).toEqual(["b", "a", "failed", "gone"]);
    expect(order("score")).toEqual(["a", "b", "failed", "gone"]);
    expect(order("loss")).toEqual(["a", "b", "failed", "gone"]);
  });

  it("are those of the last evaluated stage's best evaluation", async () => {
    const folder = await mkdtemp(join(tmpdir(), "figures-"));
    const path = join(folder, "metrics.jsonl");
    const step = (stage: string, n: number) => ({ stage, step: n, loss: n, seconds: 1 });
    const evaluation = (stage: string, n: number, loss: number, best: boolean) => ({
      ...{ stage, step: n, held_out_loss: loss, answers: [], best, seconds: 10 },
      score: { task: "pope", n: 2, accuracy: loss / 10 },
    });
    const lines = [
      ...[step("one", 1), evaluation("one", 1, 0.1, true)],
      ...Array.from({ length: 40 }, (_, i) => step("two", i + 1)),
      ...[evaluation("two", 20, 5, true), evaluation("two", 30, 4, true), evaluation("two", 40, 6, false)],
    ];
    await writeFile(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    expect(await runFigures(path)).toEqual({ held_out_loss: 4, score: 0.4, best_step: 30, loss: 39.5, seconds: 81 });
    expect(await runFigures(join(folder, "none"))).toBeUndefined();
    await rm(folder, { recursive: true });
  });
});
