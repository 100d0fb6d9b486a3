// The loops over all weights as WebAssembly SIMD, for tensors that lie in one memory.
import {
  assemble,
  defineFunction,
  type Expression,
  f32x4,
  f64,
  f64x2,
  i32,
  repeatWhile,
  set,
  type Statement,
} from "./wasm-assembler.ts";
import { type WasmMemory, type WasmModule, WebAssembly } from "./wasm-host.ts";
import type { AdamWConstants } from "./adamw-constants.ts";
import { type Loops, plainLoops } from "./loops.ts";
import { adamw8bit as plainAdamw8bit, momentBlock, seedOfStep } from "./moments.ts";
import { adamw8bit } from "./wasm-moments.ts";

type Vector = Expression<"v128">;
const { add, subtract, multiply, divide, sqrt, load, store, splat } = f32x4;

/** One AdamW step over `end - p` bytes (a multiple of 16); the same operations in the same order as `plainLoops.adamw`. */
const adamw = defineFunction(
  "adamw",
  {
    p: "i32",
    g: "i32",
    m: "i32",
    v: "i32",
    end: "i32",
    scale: "f32",
    decay: "f32",
    gain1: "f32",
    beta2: "f32",
    gain2: "f32",
    epsilon: "f32",
    stepSize: "f32",
  },
  ({ parameters: { p, g, m, v, end, ...scalars }, local }) => {
    const name = (value: Vector): { readonly set: Statement; readonly value: Vector } => {
      const variable = local("v128");
      return { set: set(variable, value), value: variable };
    };
    const scale = name(splat(scalars.scale));
    const decay = name(splat(scalars.decay));
    const gain1 = name(splat(scalars.gain1));
    const beta2 = name(splat(scalars.beta2));
    const gain2 = name(splat(scalars.gain2));
    const epsilon = name(splat(scalars.epsilon));
    const stepSize = name(splat(scalars.stepSize));
    const gradient = name(multiply(load(g), scale.value));
    const oldM = name(load(m));
    const newM = name(add(oldM.value, multiply(gain1.value, subtract(gradient.value, oldM.value))));
    const squares = multiply(multiply(gain2.value, gradient.value), gradient.value);
    const newV = name(add(multiply(load(v), beta2.value), squares));
    const update = divide(multiply(stepSize.value, newM.value), add(sqrt(newV.value), epsilon.value));
    const step = i32.constant(16);
    return {
      body: [
        ...[scale, decay, gain1, beta2, gain2, epsilon, stepSize].map((constant) => constant.set),
        repeatWhile(i32.less(p, end), [
          ...[gradient, oldM, newM, newV].map((value) => value.set),
          store(m, newM.value),
          store(v, newV.value),
          store(p, subtract(multiply(load(p), decay.value), update)),
          ...[p, g, m, v].map((address) => set(address, i32.add(address, step))),
        ]),
      ],
    };
  },
);

/** Σ x² over the bytes x..end (a multiple of 32), in eight float64 lanes. */
const sumSquares = defineFunction("sumSquares", { x: "i32", end: "i32" }, ({ parameters: { x, end }, local }) => {
  const sums = [local("v128"), local("v128"), local("v128"), local("v128")] as const;
  const lanes = local("v128");
  const part = local("v128");
  const accumulate = (sum: (typeof sums)[number], half: Vector): Statement[] => [
    set(part, half),
    set(sum, f64x2.add(sum, f64x2.multiply(part, part))),
  ];
  const total = local("v128");
  return {
    body: [
      repeatWhile(i32.less(x, end), [
        set(lanes, load(x)),
        ...accumulate(sums[0], f64x2.promoteLow(lanes)),
        ...accumulate(sums[1], f64x2.promoteHigh(lanes)),
        set(lanes, load(x, 16)),
        ...accumulate(sums[2], f64x2.promoteLow(lanes)),
        ...accumulate(sums[3], f64x2.promoteHigh(lanes)),
        set(x, i32.add(x, i32.constant(32))),
      ]),
      set(total, f64x2.add(f64x2.add(sums[0], sums[1]), f64x2.add(sums[2], sums[3]))),
    ],
    result: f64.add(f64x2.lane(total, 0), f64x2.lane(total, 1)),
  };
});

/** into ← into + factor · from over the bytes into..end (a multiple of 16). */
const addScaled = defineFunction(
  "addScaled",
  { into: "i32", from: "i32", end: "i32", factor: "f32" },
  ({ parameters: { into, from, end, factor }, local }) => {
    const factors = local("v128");
    const step = i32.constant(16);
    return {
      body: [
        set(factors, splat(factor)),
        repeatWhile(i32.less(into, end), [
          store(into, add(load(into), multiply(factors, load(from)))),
          set(into, i32.add(into, step)),
          set(from, i32.add(from, step)),
        ]),
      ],
    };
  },
);

interface Exports {
  readonly adamw: (p: number, g: number, m: number, v: number, end: number, ...constants: number[]) => void;
  readonly adamw8bit: (
    ...places: readonly [
      p: number,
      g: number,
      m: number,
      v: number,
      scales: number,
      end: number,
      seed: number,
      ...number[],
    ]
  ) => void;
  readonly sumSquares: (x: number, end: number) => number;
  readonly addScaled: (into: number, from: number, end: number, factor: number) => void;
}

let compiled: WasmModule | undefined;

/** The vector loops over one memory; arrays may start anywhere in it, and the last few elements go to the plain loops. */
export function vectorLoops(memory: WasmMemory): Loops {
  compiled ??= new WebAssembly.Module(assemble([adamw, adamw8bit, sumSquares, addScaled]));
  const exports = new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as Exports;
  return {
    adamw(p, g, m, v, constants) {
      const values = argumentsOf(constants);
      const done = inChunks(p, 4, (at, end) => {
        exports.adamw(p.byteOffset + at, g.byteOffset + at, m.byteOffset + at, v.byteOffset + at, end, ...values);
      });
      plainLoops.adamw(p.subarray(done), g.subarray(done), m.subarray(done), v.subarray(done), constants);
    },
    adamw8bit(p, g, { m, v, scales }, constants, step) {
      const values = argumentsOf(constants);
      const done = inChunks(p, momentBlock, (at, end) => {
        const first = at / 4;
        const block = first / momentBlock;
        exports.adamw8bit(
          ...([p.byteOffset + at, g.byteOffset + at, m.byteOffset + first, v.byteOffset + first] as const),
          ...([scales.byteOffset + 8 * block, end, seedOfStep(step, block), ...values] as const),
        );
      });
      const rest = { m: m.subarray(done), v: v.subarray(done), scales: scales.subarray((2 * done) / momentBlock) };
      plainAdamw8bit(p.subarray(done), g.subarray(done), rest, constants, step, done / momentBlock);
    },
    sumSquares(x) {
      let sum = 0;
      const done = inChunks(x, 8, (at, end) => {
        sum += exports.sumSquares(x.byteOffset + at, end);
      });
      return sum + plainLoops.sumSquares(x.subarray(done));
    },
    addScaled(into, from, factor) {
      const done = inChunks(into, 4, (at, end) => {
        exports.addScaled(into.byteOffset + at, from.byteOffset + at, end, factor);
      });
      plainLoops.addScaled(into.subarray(done), from.subarray(done), factor);
    },
  };
}

/** Elements per call: V8 swaps in its optimised code between calls, never inside one. */
const chunk = 1 << 18;

/** Calls `run` with byte distances from the array's start and the address where to end; returns the elements covered. */
function inChunks(array: Float32Array, lanes: number, run: (at: number, end: number) => void): number {
  const covered = array.length - (array.length % lanes);
  for (let i = 0; i < covered; i += chunk) run(4 * i, array.byteOffset + 4 * Math.min(i + chunk, covered));
  return covered;
}

function argumentsOf(constants: AdamWConstants): number[] {
  const { scale, decay, gain1, beta2, gain2, epsilon, stepSize } = constants;
  return [scale, decay, gain1, beta2, gain2, epsilon, stepSize];
}
