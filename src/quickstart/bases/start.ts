// How new weights begin.
import { random } from "../../data/random.ts";
import { type Shape, sizeOf } from "../../graph/tensor.ts";
import { memoryWeights, type PartWeights } from "../../models/weights.ts";

/** Norms (and other weights of one axis) at one, biases at zero, matrices normal with the deviation that is asked for. */
export function startingWeights(
  shapes: ReadonlyMap<string, Shape>,
  deviation: (name: string, inputs: number) => number,
  ...keys: readonly (number | string)[]
): PartWeights {
  const make = (name: string, shape: Shape): Float32Array => {
    const data = new Float32Array(sizeOf(shape));
    if (name.endsWith(".bias")) return data;
    if (name.endsWith("norm.weight") || /norm\d\.weight$/.test(name)) return data.fill(1);
    const stream = random(...keys, name);
    const spread = deviation(name, sizeOf(shape.slice(1)));
    for (let i = 0; i < data.length; i++) data[i] = spread * normal(stream.float(), stream.float());
    return data;
  };
  return memoryWeights(new Map([...shapes].map(([name, shape]) => [name, { shape, data: make(name, shape) }])));
}

/** A normal number from two uniform ones (Box and Muller 1958). */
export function normal(a: number, b: number): number {
  return Math.sqrt(-2 * Math.log(1 - a)) * Math.cos(2 * Math.PI * b);
}
