// The legality check: what a backend cannot run is refused by name before it is compiled. (ops.test.ts runs what the CPU is promised.)
import { describe, expect, it } from "vitest";
import { add, cast, gather, negate, reshape, scatterAdd, where } from "./build.ts";
import { type Backend, checkGraph } from "./check.ts";
import { graph, input, type Value } from "./graph.ts";
import type { DType } from "./tensor.ts";

const of = (dtype: DType, ...shape: number[]): Value => input(`${dtype} ${shape.join()}`, dtype, shape);
const check = (y: Value, backend: Backend): void => checkGraph(graph("g", { y }), backend);

describe("checkGraph", () => {
  it.each<[string, Value, Backend]>([
    ["int64 arithmetic", add(of("int64", 2), of("int64", 1)), "webgpu"],
    ["int64 data moved", reshape(of("int64", 4), [2, 2]), "webgpu"],
    ["a cast to int64", cast(of("float32", 2), "int64"), "webgpu"],
    ["a cast from int64", cast(of("int64", 2), "float32"), "webgpu"],
    ["a table of int64", gather(of("int64", 3, 2), of("int32", 2)), "webgpu"],
    ["bool arithmetic", add(of("bool", 2), of("bool", 1)), "cpu"],
    ["a choice between bools", where(of("bool", 2), of("bool", 1), of("bool", 2, 1)), "cpu"],
    ["float16 added up by index", scatterAdd(of("float16", 3, 2), of("int64", 1, 1), of("float16", 1, 2)), "cpu"],
  ])("refuses %s", (_, value, backend) => {
    expect(() => check(value, backend)).toThrow(expect.objectContaining({ code: "GRAPH_ILLEGAL" }));
  });

  it.each<[string, Value]>([
    ["float16 arithmetic", add(of("float16", 2), of("float16", 1))],
    ["int32 arithmetic", add(of("int32", 2), of("int32", 1))],
    ["int64 indices", gather(of("float32", 3, 2), of("int64", 2))],
    ["rows added at int64 indices", scatterAdd(of("float32", 3, 2), of("int64", 1, 1), of("float32", 1, 2))],
    ["a bool that chooses", where(of("bool", 2), of("float32", 2), of("float32", 1))],
  ])("lets %s pass on both backends", (_, value) => {
    expect(() => (check(value, "cpu"), check(value, "webgpu"))).not.toThrow();
  });

  it("names graph, op, backend and dtypes", () => {
    const early = negate(of("float32", 2));
    const made = graph("training step", { early, late: add(of("int64", 2), of("int64", 1)) });
    expect(() => checkGraph(made, "webgpu")).toThrow(
      /^expected float32 or float16 or int32 on webgpu, got int64 \(graph training step, value \d, op Add\)$/,
    );
  });

  it("finds a value whose recorded type is not what its rule says", () => {
    const y = negate(of("float32", 2));
    for (const wrong of [
      { ...y, shape: [3] },
      { ...y, dtype: "float16" as const },
    ]) {
      expect(() => check(wrong, "cpu")).toThrow(/expected float32 \[2\], got float(32 \[3\]|16 \[2\]) \(graph g/);
    }
  });
});
