// Graphs: operands before users, one input per name, and parts of a graph that recompute what they were not given.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate } from "../../test/evaluate.ts";
import { distance, inputOf, numbers, randomTensor } from "../../test/tensors.ts";
import { add, exp, multiply, negate, sigmoid, sum } from "./build.ts";
import { constant, extract, type Graph, graph, input, operandsOf, topological, type Value } from "./graph.ts";
import { floats, type Tensor } from "./tensor.ts";

const opsOf = ({ values }: Graph): number => values.filter(({ node }) => node.kind === "op").length;

/** A random graph of elementwise ops on [3] values, with the values in the order they were made. */
const anyGraph = fc
  .array(fc.tuple(fc.nat(), fc.nat(), fc.nat(2)), { minLength: 1, maxLength: 12 })
  .map((steps): Value[] => {
    const made: Value[] = [input("a", "float32", [3]), input("b", "float32", [3])];
    for (const [i, j, kind] of steps) {
      const [x, y] = [made[i % made.length]!, made[j % made.length]!];
      made.push(kind === 0 ? add(x, y) : kind === 1 ? sigmoid(x) : multiply(x, negate(y)));
    }
    return made;
  });

describe("topological", () => {
  it("puts operands before users, everything once, and nothing besides", () => {
    fc.assert(
      fc.property(anyGraph, fc.nat(), (made, pick) => {
        const outputs = [made.at(-1)!, made[pick % made.length]!];
        const order = topological(outputs);
        const at = new Map(order.map((value, i) => [value, i]));
        expect(at.size).toBe(order.length);
        for (const output of outputs) expect(at.has(output)).toBe(true);
        for (const value of order) {
          for (const operand of operandsOf(value)) expect(at.get(operand)).toBeLessThan(at.get(value)!);
          const used = outputs.includes(value) || order.some((user) => operandsOf(user).includes(value));
          expect(used).toBe(true);
        }
      }),
    );
  });

  it("walks 100 000 ops in a row without overflowing the stack", () => {
    let x = input("x", "float32", [1]);
    for (let i = 0; i < 100_000; i++) x = negate(x);
    expect(topological([x])).toHaveLength(100_001);
  });

  it("visits a ladder of doublings once per rung", () => {
    let x = input("x", "float32", [1]);
    for (let i = 0; i < 60; i++) x = add(x, x);
    expect(topological([x])).toHaveLength(61);
  });
});

describe("graph", () => {
  const x = input("x", "float32", [2]);

  it("lists the inputs that its outputs reach, and the outputs as named", () => {
    const unused = input("unused", "float32", [2]);
    const made = graph("g", { y: add(x, constant(floats([], [1]))), given: x });
    expect(made.inputs).toEqual([{ name: "x", dtype: "float32", shape: [2] }]);
    expect(made.outputs.map(({ name }) => name)).toEqual(["y", "given"]);
    expect(made.values).not.toContain(unused);
  });

  it.each([
    ["two inputs of one name", "GRAPH_INPUT_TWICE", { y: add(x, input("x", "float32", [2])) }],
    ["an output named as an input", "GRAPH_NAME", { x: negate(x) }],
    ["an output named as another input", "GRAPH_NAME", { x: input("z", "float32", [2]), y: x }],
    ["an input that is its own output, which the engine would not write", "GRAPH_NAME", { x }],
    ["an output in the encoder's names", "GRAPH_NAME", { __0: negate(x) }],
    ["an input in the encoder's names", "GRAPH_NAME", { y: negate(input("__sequence", "float32", [2])) }],
  ])("refuses %s", (_, code, outputs) => {
    expect(() => graph("g", outputs)).toThrow(expect.objectContaining({ code }));
  });
});

describe("extract", () => {
  /** The value of everything in `made`, to feed as cuts. */
  async function all(made: readonly Value[], feeds: Record<string, Tensor>): Promise<Tensor[]> {
    const found = await evaluate(Object.fromEntries(made.map((value, i) => [`y${i}`, value])), feeds);
    return made.map((_, i) => found[`y${i}`]!);
  }

  it("computes the same from the cuts as from the inputs, wherever it is cut", async () => {
    const property = fc.asyncProperty(anyGraph, fc.array(fc.nat(), { maxLength: 4 }), async (made, picks) => {
      const feeds: Record<string, Tensor> = { a: randomTensor("float32", [3], 1), b: randomTensor("float32", [3], 2) };
      const values = await all(made, feeds);
      const chosen = [...new Set(picks.map((i) => i % made.length))];
      const part = extract("part", { y: made.at(-1)! }, new Map(chosen.map((i) => [made[i]!, `cut${i}`])));
      const given = Object.fromEntries(chosen.map((i) => [`cut${i}`, values[i]!]));
      const { y } = await evaluate({ y: part.outputs[0]!.value }, { ...feeds, ...given });
      expect(distance(numbers(y), numbers(values.at(-1)!))).toBeLessThan(1e-5);
      // a cut stops the walk: what lies only behind it is gone
      expect(part.values.some((value) => chosen.some((i) => value === made[i]))).toBe(false);
    });
    await fc.assert(property, { numRuns: 40 });
  });

  it("recomputes what is not cut, and drops what lies behind a cut", () => {
    const x = input("x", "float32", [4]);
    const saved = exp(sigmoid(x));
    const cheap = negate(saved);
    const y = multiply(cheap, sum(cheap, [0]));
    const part = extract("part", { y }, new Map([[saved, "saved"]]));
    expect(part.inputs).toEqual([{ name: "saved", dtype: "float32", shape: [4] }]);
    // Neg, ReduceSum, Mul; Exp and Sigmoid lie behind the cut
    expect(opsOf(part)).toBe(3);
    expect(part.values).not.toContain(x);
  });

  it("keeps values that depend on no cut as they are, and unused cuts out of the inputs", () => {
    const x = input("x", "float32", [2]);
    const y = negate(x);
    const part = extract("part", { y }, new Map([[sigmoid(x), "elsewhere"]]));
    expect(part.outputs[0]!.value).toBe(y);
    expect(part.inputs.map(({ name }) => name)).toEqual(["x"]);
  });

  it("gives a cut back as it came when it is an output", async () => {
    const x = input("x", "float32", [2]);
    const y = negate(x);
    const part = extract("part", { y }, new Map([[y, "given"]]));
    const given = floats([2], [3, 4]);
    expect(numbers((await evaluate({ y: part.outputs[0]!.value }, { given })).y)).toEqual([3, 4]);
  });

  it("refuses two cuts of one name", () => {
    const x = input("x", "float32", [2]);
    const [a, b] = [negate(x), sigmoid(x)];
    const cuts = new Map([a, b].map((value) => [value, "same"]));
    expect(() => extract("part", { y: add(a, b) }, cuts)).toThrow(
      expect.objectContaining({ code: "GRAPH_INPUT_TWICE" }),
    );
  });
});

it("reads an input of any name, the encoder's style included", async () => {
  const names = ["v0", "v1", "v2", "y_0", "_", "a.b", "grad.x/1", "größe"];
  const feeds = Object.fromEntries(names.map((name, i) => [name, floats([1], [2 ** i])]));
  const total = names.map((name) => inputOf(name, feeds[name]!)).reduce((a, b) => add(a, b));
  const { v9 } = await evaluate({ v9: negate(total) }, feeds);
  expect(numbers(v9)).toEqual([-255]);
});
