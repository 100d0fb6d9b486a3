// A whole decoder layer: its gradient through every weight, its cache, and rows that hold several documents.
import { describe, expect, it } from "vitest";
import { directionError } from "../../test/direction.ts";
import { evaluate } from "../../test/evaluate.ts";
import { distance, inputOf, numbers, randomTensor } from "../../test/tensors.ts";
import { constant, type Value } from "../graph/graph.ts";
import { floats, type Tensor } from "../graph/tensor.ts";
import { rotationTables } from "../nn/rope.ts";
import type { LanguageConfig } from "./config.ts";
import { decoderLayer, type LayerContext, layerShapes } from "./llama.ts";

const config: LanguageConfig = {
  family: "qwen2",
  vocabSize: 16,
  hiddenSize: 8,
  intermediateSize: 12,
  layers: 1,
  heads: 4,
  keyValueHeads: 2,
  headSize: 4,
  ropeBase: 100,
  rmsNormEpsilon: 1e-5,
  tied: true,
  queryKeyValueBias: true,
  maxPositions: 32,
  raw: {},
};
const shapes = Object.entries(layerShapes(config));
const weights = Object.fromEntries(
  shapes.map(([name, shape]) => {
    // norms around 1, matrices so that activations keep their size
    const range = name.endsWith("norm.weight") ? { low: 0.5, high: 1.5 } : { low: -0.6, high: 0.6 };
    return [name, randomTensor("float32", shape, name, range)];
  }),
);
const rows = (n: number, seed: string): Tensor => randomTensor("float32", [n, config.hiddenSize], seed);

/** Tables for one row of positions, shared by the batch. */
function rotation(positions: readonly number[]): { cos: Tensor; sin: Tensor } {
  const { cos, sin } = rotationTables(positions, config.headSize, config.ropeBase);
  const shape = [1, 1, 1, positions.length, config.headSize / 2];
  return { cos: floats(shape, cos), sin: floats(shape, sin) };
}

/** [1, 1, 1, T, S]: query t sees key s where `sees` says so. */
function maskOf(queries: number, keys: number, sees: (t: number, s: number) => boolean): Tensor {
  const at = (i: number): boolean => sees(Math.floor(i / keys), i % keys);
  return floats(
    [1, 1, 1, queries, keys],
    Array.from({ length: queries * keys }, (_, i) => (at(i) ? 0 : -1e30)),
  );
}
const causal = (n: number): Tensor => maskOf(n, n, (t, s) => s <= t);

type Inputs = Readonly<Record<string, Value>>;
const layerOf = (at: Inputs, batch: number, past?: LayerContext["past"]): ReturnType<typeof decoderLayer> =>
  decoderLayer(at["x"]!, (name) => at[name]!, config, {
    batch,
    rotation: { cos: at["cos"]!, sin: at["sin"]! },
    mask: at["mask"]!,
    ...(past ? { past } : {}),
  });
const inputsOf = (feeds: Readonly<Record<string, Tensor>>): Inputs =>
  Object.fromEntries(Object.entries(feeds).map(([name, t]) => [name, inputOf(name, t)]));

/** The layer's output for rows at the given positions. */
async function run(x: Tensor, positions: readonly number[], mask: Tensor): Promise<number[]> {
  const feeds = { ...weights, ...rotation(positions), x, mask };
  const { output_NE } = layerOf(inputsOf(feeds), 1);
  return numbers((await evaluate({ output_NE }, feeds)).output_NE);
}

describe("decoderLayer", () => {
  it("has the gradient that differences give, through its input and every weight", async () => {
    // two rows of three tokens; cos, sin and the mask are constants here, as in training
    const { cos, sin } = rotation([0, 1, 2]);
    const fixed = { cos: constant(cos), sin: constant(sin), mask: constant(causal(3)) };
    const f = (at: Inputs): Value => layerOf({ ...at, ...fixed }, 2).output_NE;
    for (const seed of [1, 2, 3]) {
      expect(await directionError(f, { x: rows(6, `x${seed}`), ...weights }, seed)).toBeLessThan(1e-5);
    }
  });

  it("continues from cached keys and values as if it had seen all", async () => {
    const [n, past] = [5, 3];
    const x = rows(n, "cache");
    const whole = { ...weights, ...rotation([0, 1, 2, 3, 4]), x, mask: causal(n) };
    const { output_NE, k_BKTD, v_BKTD } = layerOf(inputsOf(whole), 1);
    const all = await evaluate({ output_NE, k_BKTD, v_BKTD }, whole);

    const first = (t: Tensor): Tensor => {
      const values = numbers(t);
      const [k, d] = [config.keyValueHeads, config.headSize];
      const kept = Array.from({ length: k }, (_, i) => values.slice(i * n * d, (i * n + past) * d));
      return floats([1, k, past, d], kept.flat());
    };
    const e = config.hiddenSize;
    const rest = {
      ...weights,
      ...rotation([3, 4]),
      x: floats([n - past, e], numbers(x).slice(past * e)),
      mask: causal(n - past),
      keys: first(all.k_BKTD),
      values: first(all.v_BKTD),
    };
    const at = inputsOf(rest);
    const next = layerOf(at, 1, [{ k_BKSD: at["keys"]!, v_BKSD: at["values"]! }]).output_NE;
    const { y } = await evaluate({ y: next }, rest);
    expect(distance(numbers(y), numbers(all.output_NE).slice(past * e))).toBeLessThan(1e-6);
  });

  it("depends on how far apart positions are, not on where they are", async () => {
    const x = rows(3, "shifted");
    const here = await run(x, [0, 1, 2], causal(3));
    expect(distance(await run(x, [7, 8, 9], causal(3)), here)).toBeLessThan(1e-5);
    expect(distance(await run(x, [0, 2, 4], causal(3)), here)).toBeGreaterThan(1e-3);
  });

  it("computes two documents in one row as it computes each alone", async () => {
    const [one, two] = [rows(2, "one"), rows(3, "two")];
    const document = [0, 0, 1, 1, 1];
    const packed = floats([5, config.hiddenSize], [...numbers(one), ...numbers(two)]);
    const mask = maskOf(5, 5, (t, s) => s <= t && document[s] === document[t]);
    const together = await run(packed, [0, 1, 0, 1, 2], mask);
    const apart = [...(await run(one, [0, 1], causal(2))), ...(await run(two, [0, 1, 2], causal(3)))];
    expect(distance(together, apart)).toBeLessThan(1e-6);
  });
});
