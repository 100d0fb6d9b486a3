import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openBudget } from "./budget.ts";
import { costOf, free, mostTokens, priceOf, showMoney } from "./price.ts";

const openai = "https://api.openai.com/v1";

describe("a price", () => {
  test("comes from the user, from this machine, or from the table", () => {
    expect(priceOf(openai, "anything", "0.15/0.6")).toEqual({ input: 0.15, output: 0.6 });
    expect(priceOf(openai, "anything", "1/2/0.5")).toEqual({ input: 1, output: 2, cached: 0.5 });
    expect(priceOf("http://localhost:11434/v1", "llama3")).toBe(free);
    expect(priceOf("http://127.0.0.1/v1", "llama3", "1/2")).toEqual({ input: 1, output: 2 });
    expect(priceOf(openai, "gpt-4o-mini")).toEqual({ input: 0.15, cached: 0.075, output: 0.6, batch: 0.5 });
    expect(priceOf(openai, "gpt-4o-mini-2024-07-18")).toEqual(priceOf(openai, "gpt-4o-mini"));
  });

  test.each([
    [openai, "gpt-99"],
    ["https://example.com/v1", "gpt-4o"],
    ["http://10.0.0.1/v1", "llama3"],
  ])("that nothing tells is refused: %s %s", (address, model) => {
    expect(() => priceOf(address, model)).toThrow(/price for .*--price IN\/OUT/);
  });

  test.each(["", "1", "1/", "1/x", "-1/2", "1/2/3/4", "1e3/2"])("written as %j is refused", (told) => {
    expect(() => priceOf(openai, "m", told)).toThrow(expect.objectContaining({ code: "PRICE_INVALID" }) as Error);
  });
});

test("what an answer costs, to the nanodollar", () => {
  const price = { input: 0.15, cached: 0.075, output: 0.6 };
  expect(costOf({ promptTokens: 1000, completionTokens: 100 }, price)).toBe(150_000 + 60_000);
  expect(costOf({ promptTokens: 1000, completionTokens: 0, cachedTokens: 400 }, price)).toBe(90_000 + 30_000);
  expect(costOf({ promptTokens: 1, completionTokens: 0 }, { input: 0.000001, output: 0 })).toBe(1);
  expect(costOf({ promptTokens: 1000, completionTokens: 100 }, price, 0.5)).toBe(105_000);
});

test("no text has more tokens than what is set aside for it", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 50 }), (content) => {
      const { promptTokens } = mostTokens({ model: "m", messages: [{ role: "user", content }], maxTokens: 1 });
      expect(promptTokens).toBeGreaterThanOrEqual(Buffer.byteLength(content) + 16);
    }),
  );
});

test.each([
  [0, "$0"],
  [12_345_678_901, "$12.35"],
  [4_200_000, "$0.0042"],
  [4_210_000, "$0.0043"],
  [100_000_000, "$0.10"],
  [1, "$0.000000001"],
])("%i nanodollars are shown as %s", (amount, text) => {
  expect(showMoney(amount)).toBe(text);
});

describe("a budget", () => {
  test("whatever is set aside and settled in whatever order never exceeds the limit", async () => {
    const wish = fc.record({
      most: fc.integer({ min: 0, max: 50 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(wish, { maxLength: 40 }), fc.scheduler(), fc.nat(200), async (wishes, s, limit) => {
        const budget = openBudget(limit, 0);
        let reserved = 0;
        const work = wishes.map(async ({ most, share }) => {
          await s.schedule(Promise.resolve());
          if (!(await budget.reserve(most))) return;
          reserved += most;
          expect(budget.spent + reserved).toBeLessThanOrEqual(limit);
          await s.schedule(Promise.resolve());
          reserved -= most;
          budget.settle(most, Math.floor(most * share));
        });
        await s.waitFor(Promise.all(work));
        expect(budget.spent).toBeLessThanOrEqual(limit);
      }),
      { numRuns: 60 },
    );
  });

  test("waits for what may come back, and refuses when nothing is under way", async () => {
    const budget = openBudget(100, 30);
    expect(await budget.reserve(60)).toBe(true);
    const second = budget.reserve(50);
    budget.settle(60, 10);
    expect(await second).toBe(true);
    budget.settle(50, 50);
    expect([await budget.reserve(11), await budget.reserve(10)]).toEqual([false, true]);
  });
});
