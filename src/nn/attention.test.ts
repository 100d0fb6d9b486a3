// Grouped attention over blocks of keys against one head at a time, written out in float64.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { directionError } from "../../test/direction.ts";
import { evaluate } from "../../test/evaluate.ts";
import { distance, indicesOf, inputOf, numbers, randomTensor, reader } from "../../test/tensors.ts";
import type { Value } from "../graph/graph.ts";
import { floats, type Shape, type Tensor } from "../graph/tensor.ts";
import { attention, type KeyBlock, mergeHeads, splitHeads } from "./attention.ts";

const small = fc.integer({ min: 1, max: 3 });
const sizes = fc.record({
  b: small,
  k: small,
  g: small,
  t: small,
  d: fc.integer({ min: 1, max: 4 }),
  lengths: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
});
type Sizes = { b: number; k: number; g: number; t: number; d: number; lengths: readonly number[] };

/** Queries q and, for block i, keys k$i, values v$i and a mask m$i that hides about a third, never the block's first key. */
function operands({ b, k, g, t, d, lengths }: Sizes, seed: number): Record<string, Tensor> {
  const made: Record<string, Tensor> = { q: randomTensor("float32", [b, k, g, t, d], `q${seed}`) };
  lengths.forEach((s, i) => {
    made[`k${i}`] = randomTensor("float32", [b, k, s, d], `k${i}${seed}`);
    made[`v${i}`] = randomTensor("float32", [b, k, s, d], `v${i}${seed}`);
    const hidden = numbers(randomTensor("float32", [b, 1, 1, t, s], `m${i}${seed}`, { low: 0, high: 1 }));
    made[`m${i}`] = floats(
      [b, 1, 1, t, s],
      hidden.map((x, at) => (x < 1 / 3 && at % s > 0 ? -1e30 : 0)),
    );
  });
  return made;
}

function attend(at: Readonly<Record<string, Value>>, blocks: number, masked: boolean): Value {
  const block = (i: number): KeyBlock => ({
    k_BKSD: at[`k${i}`]!,
    v_BKSD: at[`v${i}`]!,
    ...(masked ? { mask: at[`m${i}`]! } : {}),
  });
  return attention(
    at["q"]!,
    Array.from({ length: blocks }, (_, i) => block(i)),
  );
}

/** softmax(q·k/√D + mask)·v, one query of one head at a time. */
function written(feeds: Record<string, Tensor>, { lengths, d }: Sizes, masked: boolean, shape: Shape): number[] {
  const read = Object.fromEntries(Object.entries(feeds).map(([name, t]) => [name, reader(t)]));
  const keys = lengths.flatMap((s, i) => Array.from({ length: s }, (_, j) => [i, j] as const));
  const each = Array.from({ length: d }, (_, i) => i);
  return indicesOf(shape).map(([b, k, g, t, out]) => {
    const scores = keys.map(([i, j]) => {
      const product = each.reduce(
        (sum, n) => sum + read["q"]!([b!, k!, g!, t!, n]) * read[`k${i}`]!([b!, k!, j, n]),
        0,
      );
      return product / Math.sqrt(d) + (masked ? read[`m${i}`]!([b!, 0, 0, t!, j]) : 0);
    });
    const most = Math.max(...scores);
    const weights = scores.map((s) => Math.exp(s - most));
    const total = weights.reduce((sum, w) => sum + w, 0);
    return keys.reduce((sum, [i, j], n) => sum + (weights[n]! / total) * read[`v${i}`]!([b!, k!, j, out!]), 0);
  });
}

const inputsOf = (feeds: Record<string, Tensor>): Record<string, Value> =>
  Object.fromEntries(Object.entries(feeds).map(([name, t]) => [name, inputOf(name, t)]));

describe("attention", () => {
  it("equals every head by itself, over one or several blocks of keys, masked or not", async () => {
    const property = fc.asyncProperty(sizes, fc.boolean(), fc.nat(), async (size, masked, seed) => {
      const feeds = operands(size, seed);
      const output = attend(inputsOf(feeds), size.lengths.length, masked);
      expect(output.shape).toEqual([size.b, size.k, size.g, size.t, size.d]);
      const { y } = await evaluate({ y: output }, feeds);
      expect(distance(numbers(y), written(feeds, size, masked, output.shape))).toBeLessThan(2e-6);
    });
    await fc.assert(property, { numRuns: 40, seed: 1 });
  });

  it("does not look at hidden keys and values at all", async () => {
    const size: Sizes = { b: 1, k: 1, g: 2, t: 2, d: 4, lengths: [3] };
    const feeds = operands(size, 1);
    const mask = floats([1, 1, 1, 2, 3], [0, 0, -1e30, 0, 0, -1e30]);
    const changed = (x: Tensor): Tensor =>
      floats(
        x.shape,
        numbers(x).map((n, i) => (i < 8 ? n : 1e3 - n)),
      );
    const y = attend(inputsOf(feeds), 1, true);
    const before = await evaluate({ y }, { ...feeds, m0: mask });
    const after = await evaluate({ y }, { ...feeds, m0: mask, k0: changed(feeds["k0"]!), v0: changed(feeds["v0"]!) });
    expect(numbers(after.y)).toEqual(numbers(before.y));
  });

  it("has gradients for queries, keys and values of every block", async () => {
    const size: Sizes = { b: 2, k: 2, g: 2, t: 3, d: 4, lengths: [2, 3] };
    const all = operands(size, 2);
    const masks = new Set(Object.keys(all).filter((name) => name.startsWith("m")));
    const smooth = Object.fromEntries(Object.entries(all).filter(([name]) => !masks.has(name)));
    expect(await directionError((at) => attend(at, 2, false), smooth, 1)).toBeLessThan(1e-5);
    // as a bias with a gradient of its own
    const bias = Object.fromEntries([...masks].map((name) => [name, randomTensor("float32", all[name]!.shape, name)]));
    expect(await directionError((at) => attend(at, 2, true), { ...smooth, ...bias }, 1)).toBeLessThan(1e-5);
  });
});

it("splits rows into heads as Hugging Face lays them out, and merges them back", async () => {
  const [b, t, k, g, d] = [2, 3, 2, 3, 4];
  const x = randomTensor("float32", [b * t, k * g * d], "rows");
  const heads = splitHeads(inputOf("x", x), b, k, g);
  expect(heads.shape).toEqual([b, k, g, t, d]);
  const got = await evaluate({ heads, rows: mergeHeads(heads) }, { x });
  const at = reader(x);
  // column: query head h = k·G + g, then its D numbers
  const want = indicesOf(heads.shape).map(([i, j, l, m, n]) => at([i! * t + m!, (j! * g + l!) * d + n!]));
  expect(numbers(got.heads)).toEqual(want);
  expect(numbers(got.rows)).toEqual(numbers(x));
});
