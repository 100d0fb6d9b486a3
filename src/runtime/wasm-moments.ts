// AdamW with moments in 8 bits as WebAssembly SIMD: the same operations in the same order as moments.ts, four at a time.
import type { AdamWConstants } from "./adamw-constants.ts";
import { codes, mixing, momentBlock } from "./moments.ts";
import {
  defineFunction,
  type Expression,
  f32,
  f32x4,
  type Frame,
  i32,
  i32x4,
  type Local,
  repeatWhile,
  set,
  type Statement,
  u8x16,
} from "./wasm-assembler.ts";

type Vector = Expression<"v128">;
type Variable = Local<"v128">;
type Scalar = Expression<"f32">;
type NewLocal = Frame<Readonly<Record<never, never>>>["local"];
type Constants = Readonly<Record<keyof AdamWConstants, Variable>>;
const { and, or, xor, shiftLeft, shiftRight } = i32x4;

/** Numbers in all four lanes, kept in variables: the compiler would make a constant anew wherever it stands. */
const { biasM, biasV, mostM } = codes;
const lanes = { size: 0x7f, sign: 0x80, magnitude: 0x7fffffff, zero: 0, biasM, biasV, mostM } as const;
type Lanes = Readonly<Record<keyof typeof lanes, Variable>>;
const all = (x: number): Vector => i32x4.constants([x, x, x, x]);

/** Where values of a block are read. */
interface Places {
  readonly g: Local<"i32">;
  readonly m: Local<"i32">;
  readonly v: Local<"i32">;
}
/** Of both moments. */
interface Pair {
  readonly m: Variable;
  readonly v: Variable;
}

function decodeM(code: Vector, scale: Vector, k: Lanes): Vector {
  const size = and(code, k.size);
  const number = shiftLeft(i32x4.add(size, k.biasM), codes.shift);
  const signed = or(number, shiftLeft(and(code, k.sign), 24));
  return f32x4.multiply(and(signed, i32x4.greater(size, k.zero)), scale);
}
const decodeV = (code: Vector, scale: Vector, k: Lanes): Vector =>
  f32x4.multiply(shiftLeft(i32x4.add(code, k.biasV), codes.shift), scale);

const nextM = (old: Variable, gradient: Variable, { gain1 }: Constants): Vector =>
  f32x4.add(old, f32x4.multiply(gain1, f32x4.subtract(gradient, old)));
const nextV = (old: Vector, gradient: Variable, { beta2, gain2 }: Constants): Vector =>
  f32x4.add(f32x4.multiply(old, beta2), f32x4.multiply(f32x4.multiply(gain2, gradient), gradient));

function mix(x: Variable): Statement[] {
  const fold = (bits: number): Statement => set(x, xor(x, shiftRight(x, bits)));
  const scatter = (factor: number): Statement => set(x, i32x4.multiply(x, all(factor)));
  return [fold(16), scatter(mixing.first), fold(15), scatter(mixing.second), fold(16), set(x, or(x, all(1)))];
}

function nextRandom(x: Variable): Statement[] {
  return [set(x, xor(x, shiftLeft(x, 13))), set(x, xor(x, shiftRight(x, 17))), set(x, xor(x, shiftLeft(x, 5)))];
}

/** The largest float32 lane, in all lanes. */
function largest(x: Variable): Vector {
  const [a, b, c, d] = ([0, 1, 2, 3] as const).map((lane) => f32x4.lane(x, lane)) as [Scalar, Scalar, Scalar, Scalar];
  return f32x4.splat(f32.max(f32.max(a, b), f32.max(c, d)));
}

const move = (address: Local<"i32">, by: number): Statement => set(address, i32.add(address, i32.constant(by)));
const advance = ({ g, m, v }: Places, values: number): Statement[] => [
  move(g, 4 * values),
  move(m, values),
  move(v, values),
];

/** Sets the bounds of the new moments of a block: from its largest codes and gradient. */
function bound(
  at: Places,
  end: Local<"i32">,
  [k, c]: [Lanes, Constants],
  scale: Pair,
  bounds: Pair,
  local: NewLocal,
): Statement[] {
  const [codesM, codesV, gradient, old] = [local("v128"), local("v128"), local("v128"), local("v128")];
  // of sixteen bytes the largest of each four, in the lowest of them
  const fold = (x: Variable, bits: number): Statement => set(x, u8x16.max(x, shiftRight(x, bits)));
  const lowest = (x: Variable): Statement[] => [fold(x, 16), fold(x, 8), set(x, and(x, all(0xff)))];
  const magnitude = (offset: number): Vector => and(f32x4.multiply(f32x4.load(at.g, offset), c.scale), k.magnitude);
  return [
    ...[set(codesM, k.zero), set(codesV, k.zero), set(gradient, k.zero)],
    repeatWhile(i32.less(at.g, end), [
      set(codesM, u8x16.max(codesM, and(f32x4.load(at.m), all(0x7f7f7f7f)))),
      set(codesV, u8x16.max(codesV, f32x4.load(at.v))),
      ...[0, 16, 32, 48].map((offset) => set(gradient, f32x4.max(gradient, magnitude(offset)))),
      ...advance(at, 16),
    ]),
    ...[...lowest(codesM), ...lowest(codesV), set(gradient, largest(gradient))],
    ...[set(old, decodeM(codesM, scale.m, k)), set(old, largest(old)), set(bounds.m, nextM(old, gradient, c))],
    ...[set(old, decodeV(codesV, scale.v, k)), set(old, largest(old)), set(bounds.v, nextV(old, gradient, c))],
    ...[bounds.m, bounds.v].map((each) => set(each, f32x4.max(each, f32x4.splat(f32.constant(codes.floor))))),
  ];
}

/** Computes, uses and stores the new moments of four values. */
function moveFour(
  p: Local<"i32">,
  at: Places,
  [k, c]: [Lanes, Constants],
  scale: Pair,
  inverse: Pair,
  random: Variable,
  local: NewLocal,
): Statement[] {
  const [gradient, m, v, bits] = [local("v128"), local("v128"), local("v128"), local("v128")];
  const update = f32x4.divide(f32x4.multiply(c.stepSize, m), f32x4.add(f32x4.sqrt(v), c.epsilon));
  const code = (bits: Vector, bias: Variable): Vector =>
    i32x4.subtract(shiftRight(i32x4.add(bits, shiftRight(random, 32 - codes.shift)), codes.shift), bias);
  const sizeM = i32x4.max(i32x4.min(code(and(bits, k.magnitude), k.biasM), k.mostM), k.zero);
  return [
    set(gradient, f32x4.multiply(f32x4.load(at.g), c.scale)),
    set(m, decodeM(i32x4.loadBytes(at.m), scale.m, k)),
    set(m, nextM(m, gradient, c)),
    set(v, nextV(decodeV(i32x4.loadBytes(at.v), scale.v, k), gradient, c)),
    ...nextRandom(random),
    set(bits, f32x4.multiply(m, inverse.m)),
    i32x4.storeBytes(at.m, or(sizeM, and(shiftRight(bits, 24), k.sign))),
    i32x4.storeBytes(at.v, code(f32x4.multiply(v, inverse.v), k.biasV)),
    f32x4.store(p, f32x4.subtract(f32x4.multiply(f32x4.load(p), c.decay), update)),
    ...[...advance(at, 4), move(p, 16)],
  ];
}

/** One step over the whole blocks of p..end; `seed` is that of the first block, the next one's is 4 more. */
export const adamw8bit = defineFunction(
  "adamw8bit",
  {
    ...{ p: "i32", g: "i32", m: "i32", v: "i32", scales: "i32", end: "i32", seed: "i32" },
    ...{ scale: "f32", decay: "f32", gain1: "f32", beta2: "f32", gain2: "f32", epsilon: "f32", stepSize: "f32" },
  },
  ({ parameters: { p, g, m, v, scales, end, seed, ...scalars }, local }) => {
    const variables = <K extends string>(names: readonly K[]): Record<K, Variable> =>
      Object.fromEntries(names.map((name) => [name, local("v128")])) as Record<K, Variable>;
    const c: Constants = variables(Object.keys(scalars) as (keyof AdamWConstants)[]);
    const k: Lanes = variables(Object.keys(lanes) as (keyof typeof lanes)[]);
    const [scale, inverse, bounds] = [variables(["m", "v"]), variables(["m", "v"]), variables(["m", "v"])];
    const [at, random, blockEnd] = [{ g: local("i32"), m: local("i32"), v: local("i32") }, local("v128"), local("i32")];
    const largestNumber = f32x4.splat(f32.constant(codes.largest));
    const start = [set(at.g, g), set(at.m, m), set(at.v, v)];
    const block = [
      ...[set(scale.m, f32x4.splat(f32.load(scales))), set(scale.v, f32x4.splat(f32.load(scales, 4)))],
      ...[...start, set(blockEnd, i32.add(g, i32.constant(4 * momentBlock)))],
      ...bound(at, blockEnd, [k, c], scale, bounds, local),
      ...[f32.store(scales, f32x4.lane(f32x4.divide(bounds.m, largestNumber), 0))],
      ...[f32.store(scales, f32x4.lane(f32x4.divide(bounds.v, largestNumber), 0), 4)],
      ...[set(inverse.m, f32x4.divide(largestNumber, bounds.m)), set(inverse.v, f32x4.divide(largestNumber, bounds.v))],
      ...[set(random, i32x4.add(i32x4.splat(seed), i32x4.constants([0, 1, 2, 3]))), ...mix(random)],
      ...start,
      repeatWhile(i32.less(at.g, blockEnd), moveFour(p, at, [k, c], scale, inverse, random, local)),
      ...[set(g, at.g), set(m, at.m), set(v, at.v), move(scales, 8), move(seed, 4)],
    ];
    const constants = [
      ...Object.entries(scalars).map(([name, value]) => set(c[name as keyof Constants], f32x4.splat(value))),
      ...Object.entries(lanes).map(([name, value]) => set(k[name as keyof Lanes], all(value))),
    ];
    return { body: [...constants, repeatWhile(i32.less(p, end), block)] };
  },
);
