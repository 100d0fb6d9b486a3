// The ONNX file, read back field by field as onnx.proto numbers them, and loaded by the engine.
import { describe, expect, it } from "vitest";
import { evaluate } from "../../test/evaluate.ts";
import { distance, numbers, tensorOf } from "../../test/tensors.ts";
import { readProto } from "../formats/protobuf.ts";
import { add, layerNorm, negate, scatterAdd, sum } from "./build.ts";
import { encodeModel, sequenceOutput } from "./encode.ts";
import { constant, graph, input } from "./graph.ts";
import { bytesPerElement, type DType, floats } from "./tensor.ts";

/** A message's fields by number. */
function fields(bytes: Uint8Array): (field: number) => (bigint | Uint8Array)[] {
  const all = [...readProto(bytes)];
  return (field) => all.filter((x) => x.field === field).map(({ value }) => value);
}
const text = (value: bigint | Uint8Array | undefined): string => new TextDecoder().decode(value as Uint8Array);
const inside = (value: bigint | Uint8Array | undefined): ReturnType<typeof fields> => fields(value as Uint8Array);

/** ValueInfoProto → name, element type and lengths of a tensor. */
function valueInfo(bytes: bigint | Uint8Array): { name: string; type: number; shape: number[] } {
  const info = inside(bytes);
  const type = inside(inside(info(2)[0])(1)[0]);
  return {
    name: text(info(1)[0]),
    type: Number(type(1)[0]),
    shape: inside(type(2)[0])(1).map((dim) => Number(inside(dim)(1)[0])),
  };
}

/** NodeProto → "type(inputs) → outputs". */
function nodeText(bytes: bigint | Uint8Array): string {
  const node = inside(bytes);
  return `${text(node(4)[0])}(${node(1).map(text).join(", ")}) → ${node(2).map(text).join(", ")}`;
}

/** AttributeProto → name, type and whichever value that type means. */
function attribute(bytes: bigint | Uint8Array): [string, number, unknown] {
  const a = inside(bytes);
  const type = Number(a(20)[0]);
  const value = { 1: () => a(2)[0], 2: () => a(3)[0], 3: () => text(a(4)[0]), 7: () => a(8) }[type]!();
  return [text(a(1)[0]), type, value];
}

const model = (...[made, options]: Parameters<typeof encodeModel>): ReturnType<typeof fields> =>
  fields(encodeModel(made, options));
const graphOf = (...given: Parameters<typeof encodeModel>): ReturnType<typeof fields> => inside(model(...given)(7)[0]);

const x = input("x", "float32", [2, 3]);

describe("the model", () => {
  it("names its version, producer and operator sets", () => {
    const m = model(graph("g", { y: negate(x) }));
    expect(m(1)).toEqual([10n]);
    expect(text(m(2)[0])).toBe("llava-ts");
    const sets = m(8).map((set) => [text(inside(set)(1)[0]), Number(inside(set)(2)[0])]);
    expect(sets).toEqual([
      ["", 21],
      ["com.microsoft", 1],
    ]);
  });

  it("writes nodes, inputs and outputs under the graph's names", () => {
    const half = constant(floats([3], [1, 2, 3]));
    const g = graphOf(graph("g", { y: negate(add(x, half)), total: sum(x, [1]) }));
    expect(text(g(2)[0])).toBe("g");
    expect(g(1).map(nodeText)).toEqual(
      ["Add(x, __0) → __2", "Neg(__2) → y", "ReduceSum(x, __total__0) → total"].map(
        (line) => expect.stringMatching(line.replace(/[()]/g, "\\$&").replace(/__\d/g, "__\\d")) as string,
      ),
    );
    expect(g(11).map(valueInfo)).toEqual([{ name: "x", type: 1, shape: [2, 3] }]);
    expect(g(12).map(valueInfo)).toEqual([
      { name: "y", type: 1, shape: [2, 3] },
      { name: "total", type: 1, shape: [2, 1] },
    ]);
  });

  it("writes constants as raw bytes with their lengths", () => {
    const g = graphOf(graph("g", { y: add(x, constant(floats([1, 3], [1, 2, 3]))) }));
    const initializer = inside(g(5)[0]);
    expect(initializer(1)).toEqual([1n, 3n]);
    expect(initializer(2)).toEqual([1n]);
    expect(initializer(9)).toEqual([new Uint8Array(Float32Array.of(1, 2, 3).buffer)]);
  });

  it("writes every kind of attribute with its type", () => {
    const weight = input("w", "float32", [3]);
    const norm = graphOf(graph("g", { y: layerNorm(x, weight, weight, 0.5) }));
    const bitsOfHalf = BigInt(new Uint32Array(Float32Array.of(0.5).buffer)[0]!);
    expect(inside(norm(1)[0])(5).map(attribute)).toEqual([
      ["axis", 2, (1n << 64n) - 1n],
      ["epsilon", 1, bitsOfHalf],
    ]);
    const scatter = graphOf(
      graph("g", { y: scatterAdd(x, input("i", "int64", [1, 1]), input("u", "float32", [1, 3])) }),
    );
    expect(inside(scatter(1)[0])(5).map(attribute)).toEqual([["reduction", 3, "add"]]);
  });

  it("carries second names and bare inputs by Identity", () => {
    const y = negate(x);
    const nodes = graphOf(graph("g", { y, again: y, given: x }))(1).map(nodeText);
    expect(nodes).toEqual(["Neg(x) → y", "Identity(y) → again", "Identity(x) → given"]);
  });
});

describe("the leading sequence", () => {
  it("is the first output, a sequence of float32 tensors, and nothing else changes", () => {
    const made = graph("g", { y: negate(x) });
    const [plain, led] = [graphOf(made), graphOf(made, { leadingSequence: true })];
    const [first, ...rest] = led(12);
    expect(text(inside(first)(1)[0])).toBe(sequenceOutput);
    const sequence = inside(inside(first)(2)[0])(4);
    expect(sequence).toHaveLength(1);
    expect(Number(inside(inside(inside(sequence[0])(1)[0])(1)[0])(1)[0])).toBe(1);
    expect(rest.map(valueInfo)).toEqual(plain(12).map(valueInfo));
    expect(led(1).map(nodeText)).toEqual([...plain(1).map(nodeText), `SequenceConstruct(__one) → ${sequenceOutput}`]);
    expect(led(11)).toEqual(plain(11));
  });
});

describe("the engine", () => {
  it.each(Object.keys(bytesPerElement) as DType[])("reads %s constants back as written", async (dtype) => {
    const whole = tensorOf(dtype, [2, 2], [1, 0, 1, 1]);
    const one = tensorOf(dtype, [], [1]);
    const { y, z } = await evaluate({ y: constant(whole), z: constant(one) });
    expect([y.dtype, y.shape, numbers(y)]).toEqual([dtype, [2, 2], [1, 0, 1, 1]]);
    expect([z.dtype, z.shape, numbers(z)]).toEqual([dtype, [], [1]]);
  });

  it("gives one value under two names, and an input under another name", async () => {
    const fed = floats([2, 3], [1, 2, 3, 4, 5, 6]);
    const y = negate(x);
    const got = await evaluate({ y, again: y, given: x }, { x: fed });
    for (const name of ["y", "again"] as const) expect(numbers(got[name])).toEqual([-1, -2, -3, -4, -5, -6]);
    expect(numbers(got.given)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("takes a model whose constants are megabytes", async () => {
    const n = 300_000;
    const large = constant(
      floats(
        [n],
        Float32Array.from({ length: n }, (_, i) => i),
      ),
    );
    const { y } = await evaluate({ y: add(large, input("one", "float32", [1])) }, { one: floats([1], [0.5]) });
    const want = Array.from({ length: n }, (_, i) => i + 0.5);
    expect(distance(numbers(y), want)).toBe(0);
  });
});
