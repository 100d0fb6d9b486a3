// AdamW with moments in 8 bits as WebAssembly SIMD: the same operations in the same order as moments.ts, four at a time.
import type { AdamWConstants } from "./adamw-constants.ts";
import { codes, mixing, momentBlock } from "./moments.ts";
import {
  defineFunction,
  type Expression,
  type Frame,
  f32,
  f32x4,
  i32,
  i32x4,
  type Local,
  repeatWhile,
  set,
  type Statement,
} from "./wasm-assembler.ts";

type Vector = Expression<"v128">;
type Scalar = Expression<"f32">;
const { and, or, xor, shiftLeft, shiftRight } = i32x4;
const all = (x: number): Vector => i32x4.constants([x, x, x, x]);

/** A code's bits as a float32 times its scale; zero stays zero. */
function decode(size: Vector, bias: number, scale: Vector): Vector {
  const number = shiftLeft(i32x4.add(size, all(bias)), codes.shift);
  return f32x4.multiply(and(number, i32x4.notEqual(size, all(0))), scale);
}

function decodeM(code: Vector, scale: Vector): Vector {
  const size = and(code, all(0x7f));
  const sign = and(shiftLeft(and(code, all(0x80)), 24), i32x4.notEqual(size, all(0)));
  return or(decode(size, codes.biasM, scale), sign);
}

/** Bits of a float32 ≥ 0 rounded to a code's. */
function round(bits: Vector, random: Vector, bias: number, most: number): Vector {
  const size = i32x4.subtract(shiftRight(i32x4.add(bits, random), codes.shift), all(bias));
  return i32x4.min(size, all(most));
}

function mix(x: Local<"v128">): Statement[] {
  const fold = (bits: number): Statement => set(x, xor(x, shiftRight(x, bits)));
  return [
    fold(16),
    set(x, i32x4.multiply(x, all(mixing.first))),
    fold(15),
    set(x, i32x4.multiply(x, all(mixing.second))),
    fold(16),
    set(x, or(x, all(1))),
  ];
}

function nextRandom(x: Local<"v128">): Statement[] {
  return [set(x, xor(x, shiftLeft(x, 13))), set(x, xor(x, shiftRight(x, 17))), set(x, xor(x, shiftLeft(x, 5)))];
}

/** The largest lane, and no less than the floor. */
function largest(x: Vector): Scalar {
  const lanes = ([0, 1, 2, 3] as const).map((lane) => f32x4.lane(x, lane));
  return lanes.reduce((most, lane) => f32.max(most, lane), f32.constant(codes.floor));
}

type NewLocal = Frame<Readonly<Record<never, never>>>["local"];
type Constants = Readonly<Record<keyof AdamWConstants, Local<"v128">>>;

/** Where four values of a block are read. */
interface Places {
  readonly g: Local<"i32">;
  readonly m: Local<"i32">;
  readonly v: Local<"i32">;
}

/** Both moments, or what belongs to each. */
interface Pair<T> {
  readonly m: T;
  readonly v: T;
}
type Vectors = Pair<Local<"v128">>;

/** Sets the new moments of four values, from the old ones and the gradient. */
function newMoments(at: Places, k: Constants, scale: Vectors, moments: Vectors, local: NewLocal): Statement[] {
  const [gradient, old] = [local("v128"), local("v128")];
  const fading = f32x4.multiply(decode(i32x4.loadBytes(at.v), codes.biasV, scale.v), k.beta2);
  return [
    set(gradient, f32x4.multiply(f32x4.load(at.g), k.scale)),
    set(old, decodeM(i32x4.loadBytes(at.m), scale.m)),
    set(moments.m, f32x4.add(old, f32x4.multiply(k.gain1, f32x4.subtract(gradient, old)))),
    set(moments.v, f32x4.add(fading, f32x4.multiply(f32x4.multiply(k.gain2, gradient), gradient))),
  ];
}

/** Stores four moments as codes. */
function storeMoments(at: Places, moments: Vectors, inverse: Vectors, random: Local<"v128">): Statement[] {
  const m = f32x4.multiply(moments.m, inverse.m);
  const randomM = shiftLeft(and(random, all(0xffff)), 4);
  const sizeM = i32x4.max(round(and(m, all(0x7fffffff)), randomM, codes.biasM, codes.mostM), all(0));
  const v = f32x4.multiply(moments.v, inverse.v);
  const sizeV = round(v, shiftRight(random, 12), codes.biasV, codes.mostV);
  return [
    i32x4.storeBytes(at.m, or(sizeM, shiftLeft(shiftRight(m, 31), 7))),
    // a positive value stays positive; its bits are a positive number too
    i32x4.storeBytes(at.v, i32x4.max(sizeV, i32x4.min(v, all(1)))),
  ];
}

const move = (address: Local<"i32">, by: number): Statement => set(address, i32.add(address, i32.constant(by)));
/** Four values further. */
const advance = ({ g, m, v }: Places): Statement[] => [move(g, 16), move(m, 4), move(v, 4)];
const inverseOf = (most: Scalar): Vector => f32x4.splat(f32.divide(f32.constant(codes.largest), most));
const scaleOf = (most: Scalar): Scalar => f32.divide(most, f32.constant(codes.largest));

/**
 * One step over the whole blocks of p..end; `seed` is that of the first block, the next one's is 4 more.
 * Each block is gone through twice: for its largest new moments, and to write what they scale.
 */
export const adamw8bit = defineFunction(
  "adamw8bit",
  {
    ...{ p: "i32", g: "i32", m: "i32", v: "i32", scales: "i32", end: "i32", seed: "i32" },
    ...{ scale: "f32", decay: "f32", gain1: "f32", beta2: "f32", gain2: "f32", epsilon: "f32", stepSize: "f32" },
  },
  ({ parameters: { p, g, m, v, scales, end, seed, ...scalars }, local }) => {
    const names = Object.keys(scalars) as (keyof AdamWConstants)[];
    const k = Object.fromEntries(names.map((name) => [name, local("v128")])) as unknown as Constants;
    const pair = (): Vectors => ({ m: local("v128"), v: local("v128") });
    const [scale, moments, most, inverse] = [pair(), pair(), pair(), pair()];
    const largestOf: Pair<Local<"f32">> = { m: local("f32"), v: local("f32") };
    const [at, random, blockEnd] = [{ g: local("i32"), m: local("i32"), v: local("i32") }, local("v128"), local("i32")];
    const start = [set(at.g, g), set(at.m, m), set(at.v, v)];
    const compute = newMoments(at, k, scale, moments, local);
    const update = f32x4.divide(f32x4.multiply(k.stepSize, moments.m), f32x4.add(f32x4.sqrt(moments.v), k.epsilon));
    const block = [
      ...[set(scale.m, f32x4.splat(f32.load(scales))), set(scale.v, f32x4.splat(f32.load(scales, 4)))],
      ...[set(most.m, all(0)), set(most.v, all(0)), set(blockEnd, i32.add(g, i32.constant(4 * momentBlock))), ...start],
      repeatWhile(i32.less(at.g, blockEnd), [
        ...compute,
        set(most.m, f32x4.max(most.m, f32x4.abs(moments.m))),
        set(most.v, f32x4.max(most.v, moments.v)),
        ...advance(at),
      ]),
      ...[set(largestOf.m, largest(most.m)), set(largestOf.v, largest(most.v)), ...start],
      ...[set(inverse.m, inverseOf(largestOf.m)), set(inverse.v, inverseOf(largestOf.v))],
      ...[set(random, i32x4.add(i32x4.splat(seed), i32x4.constants([0, 1, 2, 3]))), ...mix(random)],
      repeatWhile(i32.less(at.g, blockEnd), [
        ...[...compute, ...nextRandom(random), ...storeMoments(at, moments, inverse, random)],
        f32x4.store(p, f32x4.subtract(f32x4.multiply(f32x4.load(p), k.decay), update)),
        ...[...advance(at), move(p, 16)],
      ]),
      ...[f32.store(scales, scaleOf(largestOf.m)), f32.store(scales, scaleOf(largestOf.v), 4)],
      ...[set(g, at.g), set(m, at.m), set(v, at.v), move(scales, 8), move(seed, 4)],
    ];
    const splats = names.map((name) => set(k[name], f32x4.splat(scalars[name])));
    return { body: [...splats, repeatWhile(i32.less(p, end), block)] };
  },
);
