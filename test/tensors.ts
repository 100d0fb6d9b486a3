// Host tensors for tests: random ones from a seed, their elements as float64 numbers, and how far two lists are apart.
import { random } from "../src/data/random.ts";
import { float16ToFloat32, float32ToFloat16 } from "../src/formats/half.ts";
import { input, type Value } from "../src/graph/graph.ts";
import { type DType, type Shape, sizeOf, type Tensor, tensor } from "../src/graph/tensor.ts";

/** A tensor of any dtype from plain numbers, rounded to what the dtype can hold. */
export function tensorOf(dtype: DType, shape: Shape, values: ArrayLike<number>): Tensor {
  if (dtype === "float16") return tensor(dtype, shape, float32ToFloat16(Float32Array.from(values)));
  if (dtype === "int64") return tensor(dtype, shape, BigInt64Array.from(Array.from(values, BigInt)));
  const made = tensor(dtype, shape);
  (made.data as Float32Array).set(values);
  return made;
}

/** Uniform in [low, high); whole numbers for dtypes that hold no others, and where `whole` says so. */
export function randomTensor(
  dtype: DType,
  shape: Shape,
  seed: number | string,
  { low = -2, high = 2, whole = false } = {},
): Tensor {
  const draw = random("tensor", seed);
  const rounded = whole || (dtype !== "float32" && dtype !== "float16");
  const one = (): number => {
    const x = low + (high - low) * draw.float();
    return dtype === "bool" ? Number(draw.chance(0.5)) : rounded ? Math.floor(x) : x;
  };
  return tensorOf(dtype, shape, Array.from({ length: sizeOf(shape) }, one));
}

/** The elements as numbers. */
export function numbers({ dtype, data }: Tensor): number[] {
  return Array.from(dtype === "float16" ? float16ToFloat32(data as Uint16Array) : data, Number);
}

/** Every index of a shape in row-major order. */
export function indicesOf(shape: Shape): number[][] {
  return shape.reduce<number[][]>(
    (rows, n) => rows.flatMap((row) => Array.from({ length: n }, (_, i) => [...row, i])),
    [[]],
  );
}

/** Reads elements by index as numpy broadcasts: extra leading axes of the index are dropped, axes of length 1 repeat. */
export function reader(t: Tensor): (index: readonly number[]) => number {
  const values = numbers(t);
  return (index) => {
    const own = index.slice(index.length - t.shape.length);
    return values[t.shape.reduce((at, n, axis) => at * n + (n === 1 ? 0 : own[axis]!), 0)]!;
  };
}

/** An input node of a tensor's type. */
export const inputOf = (name: string, { dtype, shape }: Tensor): Value => input(name, dtype, shape);

/** The largest |a − b| / (1 + |b|); infinite where one is not a number and the other is. */
export function distance(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return Infinity;
  return a.reduce((worst, x, i) => {
    const y = b[i]!;
    if (Object.is(x, y) || x === y) return worst;
    const apart = Math.abs(x - y) / (1 + Math.abs(y));
    return Math.max(worst, Number.isNaN(apart) ? Infinity : apart);
  }, 0);
}
