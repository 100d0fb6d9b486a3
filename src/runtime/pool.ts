// A pool's memory: one WebAssembly memory, so that vector loops can work in place on the tensors ONNX Runtime is fed.
import { RunError } from "../errors.ts";
import type { Loops } from "./loops.ts";
import { stagedLoops } from "./staged-loops.ts";
import { vectorLoops } from "./wasm-kernels.ts";
import { page, WebAssembly } from "./wasm-host.ts";

/** A WebAssembly memory has 32-bit addresses, and its last page stays out of reach of an end pointer. */
export const largestPool = 2 ** 32 - page;
/** Every tensor of a pool starts at a cache line. */
export const alignment = 64;

const loops = new WeakMap<ArrayBufferLike, Loops>();

/** A zeroed memory whose pages are taken from the system when first touched; throws `ENGINE_MEMORY`. */
export function createPool(name: string, bytes: number): ArrayBuffer {
  const pages = Math.ceil(bytes / page);
  try {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    loops.set(memory.buffer, vectorLoops(memory));
    return memory.buffer;
  } catch (cause) {
    throw new RunError("ENGINE_MEMORY", {
      expected: `${bytes} bytes of memory for pool ${name}`,
      got: cause instanceof Error ? cause.message : String(cause),
      fix: "train fewer weights or use a machine with more memory",
      cause,
    });
  }
}

/** The vector loops in place when all arrays lie in one pool, else by way of a small memory. */
export function loopsFor(...arrays: readonly (Float32Array | Uint8Array)[]): Loops {
  const buffer = arrays[0]?.buffer;
  const inOnePool = buffer !== undefined && arrays.every((array) => array.buffer === buffer);
  return (inOnePool ? loops.get(buffer) : undefined) ?? stagedLoops();
}
