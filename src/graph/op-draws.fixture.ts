// Random legal operands for any op: shapes that broadcast, axes, indices, and what a case of the op table consists of.
import fc from "fast-check";
import type { DType, Shape, Tensor } from "./tensor.ts";
import { randomTensor } from "../../test/tensors.ts";

export interface Drawn<A> {
  readonly operands: readonly Tensor[];
  readonly attributes: A;
}

export type Read = (index: readonly number[]) => number;

export interface OpCase<A> {
  /** legal operands; those whose dtype is free are of the given one */
  readonly draw: (dtype: DType) => fc.Arbitrary<Drawn<A>>;
  /** the element at `index` of the result; `operands[i]([…])` reads an operand as numpy broadcasts */
  readonly element: (operands: readonly Read[], index: readonly number[], drawn: Drawn<A>, dtype: DType) => number;
  /** moves or compares elements without arithmetic on them: no tolerance */
  readonly exact?: boolean;
}

export interface Range {
  readonly low?: number;
  readonly high?: number;
  readonly whole?: boolean;
}

export const shape = (minLength: number, maxLength: number): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: 1, max: 4 }), { minLength, maxLength });

export const filled = (dtype: DType, shape: Shape, range?: Range): fc.Arbitrary<Tensor> =>
  fc.noShrink(fc.integer()).map((seed) => randomTensor(dtype, shape, seed, range));

/** A shape that broadcasts to the given one: leading axes dropped, some of the others 1. */
const partOf = (whole: Shape): fc.Arbitrary<number[]> =>
  fc
    .tuple(fc.nat(whole.length), fc.array(fc.boolean(), { minLength: whole.length, maxLength: whole.length }))
    .map(([dropped, keep]) => whole.map((n, i) => (keep[i] ? n : 1)).slice(dropped));

/** Shapes that broadcast together. */
export const together = (count: number, maxRank = 4): fc.Arbitrary<number[][]> =>
  shape(0, maxRank).chain((whole) => fc.tuple(...Array.from({ length: count }, () => partOf(whole))));

export const axisOf = (shape: Shape): fc.Arbitrary<number> => fc.nat(shape.length - 1);
/** Whole-number indices below `n`, as int32 or int64. */
export const indices = (shape: Shape, n: number): fc.Arbitrary<Tensor> =>
  fc.constantFrom<DType>("int32", "int64").chain((dtype) => filled(dtype, shape, { low: 0, high: n }));

/** Operands and attributes drawn apart. */
export const drawn = <A>(
  operands: readonly fc.Arbitrary<Tensor>[],
  attributes: fc.Arbitrary<A>,
): fc.Arbitrary<Drawn<A>> => fc.record({ operands: fc.tuple(...operands), attributes });
