// The backward walk: what it adds up, what it undoes, and what it leaves out.
import { describe, expect, it } from "vitest";
import { evaluate } from "../../test/evaluate.ts";
import { inputOf, numbers, randomTensor } from "../../test/tensors.ts";
import {
  add,
  cast,
  divide,
  exp,
  gather,
  matMul,
  multiply,
  negate,
  reshape,
  slice,
  split,
  sum,
  swapLast,
  tanh,
} from "../graph/build.ts";
import { encodeModel } from "../graph/encode.ts";
import { constant, type Graph, graph, input, type Value } from "../graph/graph.ts";
import type { OpName } from "../graph/ops.ts";
import { floats, type Shape } from "../graph/tensor.ts";
import { linear } from "../nn/linear.ts";
import { gradients } from "./backward.ts";

const ones = (shape: Shape): Value => constant(floats(shape, Array(shape.reduce((n, m) => n * m, 1)).fill(1)));
const opsOf = (made: Graph): OpName[] => made.values.flatMap(({ node }) => (node.kind === "op" ? [node.op] : []));
const count = (made: Graph, op: OpName): number => opsOf(made).filter((name) => name === op).length;

describe("gradients", () => {
  const x = floats([3], [1, 2, 3]);
  const from = inputOf("x", x);

  it("adds up every use of a value", async () => {
    // d(x·x + x/x − x) = 2x + 0 − 1
    const y = add(add(multiply(from, from), divide(from, from)), negate(from));
    const [g] = gradients(new Map([[y, ones([3])]]), [from]);
    expect(numbers((await evaluate({ g: g! }, { x })).g)).toEqual([1, 3, 5]);
  });

  it("adds up several outputs, one inside the other", async () => {
    // ⟨1, x²⟩ + ⟨10, −x²⟩ → 2x − 20x
    const square = multiply(from, from);
    const seeds = new Map([
      [negate(square), constant(floats([3], [10, 10, 10]))],
      [square, ones([3])],
    ]);
    const [g] = gradients(seeds, [from]);
    expect(numbers((await evaluate({ g: g! }, { x })).g)).toEqual([-18, -36, -54]);
  });

  it("gives gradients of values in the middle, and the seed of an output that is a target", async () => {
    const middle = exp(from);
    const y = multiply(middle, middle);
    const seed = ones([3]);
    const [dy, dmiddle] = gradients(new Map([[y, seed]]), [y, middle]);
    expect(dy).toBe(seed);
    const got = await evaluate({ dmiddle: dmiddle!, middle }, { x });
    expect(numbers(got.dmiddle)).toEqual(numbers(got.middle).map((m) => 2 * m));
  });

  it("is undefined for what no path reaches", () => {
    const elsewhere = input("elsewhere", "float32", [3]);
    const downstream = exp(multiply(from, 2));
    const y = exp(from);
    const found = gradients(new Map([[y, ones([3])]]), [elsewhere, downstream, from]);
    expect(found.map((g) => g !== undefined)).toEqual([false, false, true]);
  });

  it("refuses a seed of another shape or dtype than its output", () => {
    const y = exp(from);
    for (const seed of [ones([]), ones([1, 3]), input("h", "float16", [3])]) {
      expect(() => gradients(new Map([[y, seed]]), [from])).toThrow(expect.objectContaining({ code: "GRAPH_SEED" }));
    }
  });
});

describe("broadcasting", () => {
  it.each<[Shape, Shape]>([
    [[], [2, 3, 4]],
    [[4], [2, 3, 4]],
    [
      [3, 1],
      [2, 3, 4],
    ],
    [
      [1, 1, 4],
      [2, 3, 4],
    ],
    [
      [2, 1, 1],
      [1, 3, 4],
    ],
    [[1], [1]],
    [[1, 1], [1]],
  ])("of %j with %j is summed back", async (a, b) => {
    const [left, right] = [input("a", "float32", a), input("b", "float32", b)];
    const y = add(left, right);
    const found = gradients(new Map([[y, ones(y.shape)]]), [left, right]);
    const got = await evaluate({ a: found[0]!, b: found[1]! });
    const size = (shape: Shape): number => shape.reduce((n, m) => n * m, 1);
    for (const [name, shape] of [
      ["a", a],
      ["b", b],
    ] as const) {
      expect(got[name].shape).toEqual(shape);
      expect(new Set(numbers(got[name]))).toEqual(new Set([size(y.shape) / size(shape)]));
    }
  });
});

describe("what is not needed", () => {
  const x = input("x", "float32", [4, 3]);
  const w = input("w", "float32", [5, 3]);
  const seed = input("u", "float32", [4, 5]);

  it("is not computed for frozen weights", () => {
    const y = linear(x, w);
    const [dx] = gradients(new Map([[y, seed]]), [x]);
    expect(opsOf(graph("through", { dx: dx! }))).toEqual(["MatMul"]);
  });

  it("is not walked below a frozen branch", () => {
    const frozen = exp(negate(input("frozen", "float32", [4, 3])));
    const y = multiply(frozen, x);
    const [dx] = gradients(new Map([[y, input("u", "float32", [4, 3])]]), [x]);
    // the branch itself is needed, forward: its own gradient is not
    expect(opsOf(graph("dx", { dx: dx! })).toSorted()).toEqual(["Exp", "Mul", "Neg"]);
  });

  it("is not even built for a frozen branch, which may hold what has no gradient", async () => {
    // float16 weights stay frozen; the rule of Tanh, whose constants are float32, would refuse them
    const half = input("half", "float16", [3]);
    const y = multiply(cast(tanh(half), "float32"), x);
    const [dx] = gradients(new Map([[y, input("u", "float32", [4, 3])]]), [x]);
    expect(opsOf(graph("dx", { dx: dx! })).toSorted()).toEqual(["Cast", "Mul", "Tanh"]);
    // nor below a target
    const middle = tanh(half);
    const up = cast(middle, "float32");
    const [g] = gradients(new Map([[up, input("u", "float32", [3])]]), [middle]);
    expect(g).toMatchObject({ dtype: "float16", shape: [3] });
  });

  it("takes one product and one transpose for the weight of a linear layer", () => {
    const [dw] = gradients(new Map([[linear(x, w), seed]]), [w]);
    expect(dw!.shape).toEqual(w.shape);
    // x is narrower than g: (xᵀ·g)ᵀ, with a copy of xᵀ that the engine does not fold into the product
    expect(opsOf(graph("dw", { dw: dw! })).toSorted()).toEqual([
      "MatMul",
      "Reshape",
      "Reshape",
      "Transpose",
      "Transpose",
    ]);
  });

  it("lays the gradients of slices that make up an axis side by side", async () => {
    const all = input("all", "float32", [2, 6]);
    const parts = split(all, 1, [1, 3, 2]).map((part, i) => multiply(part, i + 1));
    const seeds = new Map(
      parts.map((part, i) => [part, constant(floats(part.shape, Array(2 * [1, 3, 2][i]!).fill(1)))]),
    );
    const [g] = gradients(seeds, [all]);
    const made = graph("tiles", { g: g! });
    expect([count(made, "Pad"), count(made, "Add"), count(made, "Concat")]).toEqual([0, 0, 1]);
    expect(numbers((await evaluate({ g: g! })).g)).toEqual([1, 2, 2, 2, 3, 3, 1, 2, 2, 2, 3, 3]);
    // a gap or an overlap is padded and added as ever
    const overlapping = [slice(all, 1, 0, 4), slice(all, 1, 2, 6)];
    const [sum] = gradients(new Map(overlapping.map((part) => [part, ones(part.shape)])), [all]);
    expect(numbers((await evaluate({ sum: sum! })).sum)).toEqual([1, 1, 2, 2, 1, 1, 1, 1, 2, 2, 1, 1]);
  });

  it("takes no batch of products for a matrix that a batch shares", () => {
    const batch = input("batch", "float32", [2, 6, 3]);
    const shared = input("shared", "float32", [3, 5]);
    const y = matMul(batch, shared);
    const [dw] = gradients(new Map([[y, input("u", "float32", [2, 6, 5])]]), [shared]);
    const made = graph("dw", { dw: dw! });
    const [product] = made.values.filter(({ node }) => node.kind === "op" && node.op === "MatMul");
    expect(product!.shape).toEqual([3, 5]);
    expect(count(made, "ReduceSum")).toBe(0);
  });

  it("holds no table of zeros for the gradient of an embedding", () => {
    const table = input("table", "float32", [50_000, 64]);
    const rows = gather(table, input("ids", "int32", [2, 3]));
    const [g] = gradients(new Map([[rows, input("u", "float32", [2, 3, 64])]]), [table]);
    expect(encodeModel(graph("embedding", { g: g! })).length).toBeLessThan(2000);
  });
});

it("gives the gradient of a product with a transposed matrix, shared by a batch", async () => {
  const feeds = {
    x: randomTensor("float32", [2, 4, 3], 1),
    w: randomTensor("float32", [5, 3], 2),
    u: randomTensor("float32", [2, 4, 5], 3),
  };
  const [x, w, u] = [inputOf("x", feeds.x), inputOf("w", feeds.w), inputOf("u", feeds.u)];
  const [dw] = gradients(new Map([[matMul(x, swapLast(w)), u]]), [w]);
  // the same by an outer product for every row, summed
  const rows = (value: Value, axis: number): Value => reshape(value, axis === 1 ? [8, 5, 1] : [8, 1, 3]);
  const want = reshape(sum(multiply(rows(u, 1), rows(x, 2)), [0]), [5, 3]);
  const got = await evaluate({ dw: dw!, want }, feeds);
  numbers(got.want).forEach((value, i) => expect(numbers(got.dw)[i]).toBeCloseTo(value, 5));
});
