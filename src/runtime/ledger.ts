// Which buffers live, where each lies in its pool, and what a view may reach; the memory itself is with the executor.
import { BugError, RunError } from "../errors.ts";
import { bytesPerElement, type DType, type Shape, showShape, sizeOf } from "../graph/tensor.ts";
import type { EngineBuffer } from "./engine.ts";
import { alignment, largestPool } from "./pool.ts";
import type { Allocation } from "./protocol.ts";

interface Owned {
  readonly dtype: DType;
  readonly elements: number;
  readonly pool: string | undefined;
}

interface Pool {
  readonly bytes: number;
  used: number;
  readonly ids: number[];
}

/** The books of one engine's memory. */
export class Ledger {
  readonly #buffers = new Map<number, Owned>();
  readonly #pools = new Map<string, Pool>();
  #lastId = 0;

  reserve(name: string, bytes: number): void {
    if (this.#pools.has(name)) fail("ENGINE_POOL", "a pool name not in use", name);
    if (!Number.isInteger(bytes) || bytes < 0) fail("ENGINE_POOL", "a whole number of bytes", String(bytes));
    if (bytes > largestPool) {
      throw new RunError("ENGINE_MEMORY", {
        expected: `a pool of at most ${largestPool} bytes`,
        got: String(bytes),
        where: `pool ${name}`,
        fix: "split the weights over several pools",
      });
    }
    this.#pools.set(name, { bytes, used: 0, ids: [] });
  }

  allocate<D extends DType>(
    dtype: D,
    shape: Shape,
    poolName?: string,
  ): { buffer: EngineBuffer<D>; allocation: Allocation } {
    if (shape.some((n) => !Number.isInteger(n) || n < 0))
      fail("ENGINE_BUFFER", "a shape of whole numbers", showShape(shape));
    const elements = sizeOf(shape);
    const bytes = elements * bytesPerElement[dtype];
    const id = this.#lastId + 1;
    const pool = poolName === undefined ? undefined : { name: poolName, byteOffset: this.#place(id, bytes, poolName) };
    this.#lastId = id;
    this.#buffers.set(id, { dtype, elements, pool: poolName });
    const allocation = { id, bytes, ...(pool === undefined ? {} : { pool }) };
    return { buffer: { id, dtype, shape: [...shape], offset: 0 }, allocation };
  }

  #place(id: number, bytes: number, name: string): number {
    const pool = this.#pools.get(name) ?? fail("ENGINE_POOL", "a reserved pool", name);
    const byteOffset = Math.ceil(pool.used / alignment) * alignment;
    if (byteOffset + bytes > pool.bytes) {
      throw new RunError("ENGINE_MEMORY", {
        expected: `at most ${Math.max(0, pool.bytes - byteOffset)} more bytes`,
        got: `${bytes} bytes`,
        where: `pool ${name} of ${pool.bytes} bytes`,
        fix: "reserve a larger pool",
      });
    }
    pool.used = byteOffset + bytes;
    pool.ids.push(id);
    return byteOffset;
  }

  free(buffer: EngineBuffer): void {
    const { pool } = this.#owned(buffer);
    if (pool !== undefined)
      fail("ENGINE_POOL", "a buffer outside pools (releasePool frees those)", `one of pool ${pool}`);
    this.#buffers.delete(buffer.id);
  }

  releasePool(name: string): void {
    const pool = this.#pools.get(name) ?? fail("ENGINE_POOL", "a reserved pool", name);
    for (const id of pool.ids) this.#buffers.delete(id);
    this.#pools.delete(name);
  }

  /** Throws `ENGINE_BUFFER` when the buffer was freed, has another dtype, or reaches beyond its allocation. */
  check(buffer: EngineBuffer): void {
    const { dtype, elements } = this.#owned(buffer);
    const end = buffer.offset + sizeOf(buffer.shape);
    if (dtype !== buffer.dtype) fail("ENGINE_BUFFER", dtype, buffer.dtype, buffer.id);
    if (!Number.isInteger(buffer.offset) || buffer.offset < 0 || !(end <= elements)) {
      const got = `${showShape(buffer.shape)} at offset ${buffer.offset}`;
      fail("ENGINE_BUFFER", `a view within ${elements} elements`, got, buffer.id);
    }
  }

  #owned(buffer: EngineBuffer): Owned {
    return this.#buffers.get(buffer.id) ?? fail("ENGINE_BUFFER", "a live buffer", "one that was freed", buffer.id);
  }
}

function fail(code: string, expected: string, got: string, id?: number): never {
  throw new BugError(code, { expected, got, ...(id === undefined ? {} : { where: `buffer ${id}` }) });
}

/** Whether two buffers share an element. */
export function overlap(a: EngineBuffer, b: EngineBuffer): boolean {
  return a.id === b.id && a.offset < b.offset + sizeOf(b.shape) && b.offset < a.offset + sizeOf(a.shape);
}
