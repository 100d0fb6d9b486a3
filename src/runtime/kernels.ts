// The table of plain loops over engine memory, run in the engine's thread by `pass.call`.
import { adamwConstants } from "./adamw-constants.ts";
import { dequantise } from "../formats/q4.ts";
import type { ArrayOf, KernelCall } from "./kernel-calls.ts";
import { addAt, copyBlocks, gatherRows, scatterAddRows } from "./kernel-rows.ts";

import { loopsFor } from "./pool.ts";

type Kernel<K extends KernelCall["kernel"]> = (call: Extract<KernelCall, { kernel: K }>, arrayOf: ArrayOf) => void;

const kernels: { readonly [K in KernelCall["kernel"]]: Kernel<K> } = {
  adamw(call, arrayOf) {
    const [p, g, m, v] = [arrayOf(call.parameter), arrayOf(call.gradient), arrayOf(call.m), arrayOf(call.v)];
    loopsFor(p, g, m, v).adamw(p, g, m, v, adamwConstants(call));
  },
  adamw8bit(call, arrayOf) {
    const [p, g] = [arrayOf(call.parameter), arrayOf(call.gradient)];
    const moments = { m: arrayOf(call.m), v: arrayOf(call.v), scales: arrayOf(call.scales) };
    loopsFor(p, g, ...Object.values(moments)).adamw8bit(p, g, moments, adamwConstants(call), call.step);
  },
  sumSquares({ of, into }, arrayOf) {
    let sum = 0;
    for (const buffer of of) {
      const x = arrayOf(buffer);
      sum += loopsFor(x).sumSquares(x);
    }
    arrayOf(into)[0] = sum;
  },
  fill({ buffer, value }, arrayOf) {
    const array = arrayOf(buffer);
    if (array instanceof BigInt64Array) array.fill(BigInt(value));
    else array.fill(value);
  },
  scale({ buffer, factor }, arrayOf) {
    const x = arrayOf(buffer);
    for (let i = 0; i < x.length; i++) x[i]! *= factor;
  },
  addInto({ into, from, factor = 1 }, arrayOf) {
    const [sum, x] = [arrayOf(into), arrayOf(from)];
    loopsFor(sum, x).addScaled(sum, x, factor);
  },
  gatherRows,
  scatterAddRows,
  addAt,
  copyBlocks,
  dequantise({ codes, scales, minima, into }, arrayOf) {
    const blocks = { codes: arrayOf(codes), scales: arrayOf(scales), ...(minima && { minima: arrayOf(minima) }) };
    dequantise(blocks, arrayOf(into));
  },
};

/** Runs one call; `call` must have passed `checkCall`. Throws `KERNEL_ROW` when an id names no row of its table. */
export function runKernel(call: KernelCall, arrayOf: ArrayOf): void {
  (kernels[call.kernel] as Kernel<typeof call.kernel>)(call as never, arrayOf);
}
