// The vector loops for tensors that lie anywhere: chunks pass through one small memory that stays in the cache.
import { type Loops, plainLoops } from "./loops.ts";
import { page, WebAssembly } from "./wasm-host.ts";
import { vectorLoops } from "./wasm-kernels.ts";

const chunk = 8192;
const lanes = 4;

let made: Loops | undefined;

/** Equal in every bit to the loops in place. */
export function stagedLoops(): Loops {
  return (made ??= make());
}

function make(): Loops {
  const pages = (lanes * chunk * 4) / page;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const fast = vectorLoops(memory);
  const stages = Array.from({ length: lanes }, (_, k) => new Float32Array(memory.buffer, 4 * k * chunk, chunk));
  /** Brings the chunk at `start` of every array in, and returns where it lies. */
  const bring = (arrays: readonly Float32Array[], start: number): Float32Array[] =>
    arrays.map((array, k) => {
      const part = array.subarray(start, start + chunk);
      stages[k]!.set(part);
      return stages[k]!.subarray(0, part.length);
    });
  return {
    adamw(p, g, m, v, constants) {
      for (let i = 0; i < p.length; i += chunk) {
        const [newP, gradient, newM, newV] = bring([p, g, m, v], i) as [
          Float32Array,
          Float32Array,
          Float32Array,
          Float32Array,
        ];
        fast.adamw(newP, gradient, newM, newV, constants);
        p.set(newP, i);
        m.set(newM, i);
        v.set(newV, i);
      }
    },
    // only trained weights have such moments, and those lie in pools
    adamw8bit: plainLoops.adamw8bit,
    sumSquares(x) {
      let sum = 0;
      for (let i = 0; i < x.length; i += chunk) sum += fast.sumSquares(bring([x], i)[0]!);
      return sum;
    },
    addScaled(into, from, factor) {
      for (let i = 0; i < into.length; i += chunk) {
        const [sum, term] = bring([into, from], i) as [Float32Array, Float32Array];
        fast.addScaled(sum, term, factor);
        into.set(sum, i);
      }
    },
  };
}
