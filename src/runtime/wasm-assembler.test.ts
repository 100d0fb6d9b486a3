// Small programs assembled and run: loops, numbers beyond one byte, vectors.
import { expect, it } from "vitest";
import { assemble, defineFunction, f32x4, f64, f64x2, i32, repeatWhile, set } from "./wasm-assembler.ts";
import { page, WebAssembly } from "./wasm-host.ts";

function instantiate(...functions: Parameters<typeof assemble>[0]) {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(assemble(functions)), { env: { memory } });
  return { memory, exports: exports as Record<string, (...values: number[]) => number> };
}

it.each([0, 1, 63, 64, 127, 128, 8191, 8192, 2 ** 31 - 1, -1, -64, -65, -(2 ** 31)])("encodes the constant %i", (x) => {
  const { exports } = instantiate(defineFunction("k", {}, () => ({ body: [], result: i32.constant(x) })));
  expect(exports["k"]!()).toBe(x);
});

it("runs a loop over locals and parameters, and several functions", () => {
  const sum = defineFunction("sum", { n: "i32" }, ({ parameters: { n }, local }) => {
    const [i, total] = [local("i32"), local("i32")];
    return {
      body: [repeatWhile(i32.less(i, n), [set(i, i32.add(i, i32.constant(1))), set(total, i32.add(total, i))])],
      result: total,
    };
  });
  const twice = defineFunction("twice", { x: "f64" }, ({ parameters: { x } }) => ({ body: [], result: f64.add(x, x) }));
  const { exports } = instantiate(sum, twice);
  expect([exports["sum"]!(100), exports["twice"]!(1.25)]).toEqual([5050, 2.5]);
});

it("computes on lanes at any address, up to the last byte", () => {
  const work = defineFunction("work", { a: "i32", k: "f32" }, ({ parameters: { a, k } }) => ({
    body: [
      f32x4.store(a, f32x4.sqrt(f32x4.divide(f32x4.multiply(f32x4.load(a), f32x4.splat(k)), f32x4.load(a, 16))), 16),
    ],
    result: f64.add(f64x2.lane(f64x2.promoteLow(f32x4.load(a)), 1), f64x2.lane(f64x2.promoteHigh(f32x4.load(a)), 1)),
  }));
  const { memory, exports } = instantiate(work);
  const lanes = new Float32Array(memory.buffer, page - 32, 8);
  lanes.set([1, 2, 3, 4, 1, 2, 3, 1]);
  expect(exports["work"]!(page - 32, 4)).toBe(6);
  expect([...lanes.subarray(4)]).toEqual([2, 2, 2, 4]);
  expect(() => exports["work"]!(page - 31, 4)).toThrow("out of bounds");
});
