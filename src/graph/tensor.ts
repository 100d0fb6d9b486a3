// Host tensors: a dtype, a static shape and a typed array in row-major order.
import { BugError } from "../errors.ts";

export type Shape = readonly number[];

/** The element types that a graph can hold; float16 values lie as raw bits in a Uint16Array. */
export interface Arrays {
  float32: Float32Array;
  float16: Uint16Array;
  int32: Int32Array;
  int64: BigInt64Array;
  uint8: Uint8Array;
  int8: Int8Array;
  bool: Uint8Array;
}
export type DType = keyof Arrays;

/** What a value is, without how it was made. */
export interface ValueType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A tensor in host memory: `data.length` equals the product of `shape`. */
export interface Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: Shape;
  readonly data: Arrays[D];
}

export const bytesPerElement: Readonly<Record<DType, number>> = {
  float32: 4,
  float16: 2,
  int32: 4,
  int64: 8,
  uint8: 1,
  int8: 1,
  bool: 1,
};

const constructors = {
  float32: Float32Array,
  float16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  int8: Int8Array,
  bool: Uint8Array,
} as const;

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** A typed array of `dtype` over `buffer` (or fresh zeros when only a length is given). */
export function arrayOf<D extends DType>(
  dtype: D,
  source: number | ArrayBufferLike,
  offset = 0,
  length?: number,
): Arrays[D] {
  const Constructor = constructors[dtype];
  if (typeof source === "number") return new Constructor(source) as Arrays[D];
  return new Constructor(source as ArrayBuffer, offset, length) as Arrays[D];
}

/** A host tensor; without data it holds zeros. Throws `TENSOR_SIZE` when data and shape disagree. */
export function tensor<D extends DType>(dtype: D, shape: Shape, data?: Arrays[D]): Tensor<D> {
  const size = sizeOf(shape);
  const values = data ?? arrayOf(dtype, size);
  if (values.length !== size) {
    throw new BugError("TENSOR_SIZE", {
      expected: `${size} elements for shape [${shape.join(", ")}]`,
      got: String(values.length),
    });
  }
  return { dtype, shape, data: values };
}

/** A float32 tensor from plain numbers. */
export function floats(shape: Shape, values: ArrayLike<number>): Tensor<"float32"> {
  return tensor("float32", shape, Float32Array.from(values));
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

export function showShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}
