// The executor's memory: allocations of their own, and allocations inside pools.
import { BugError, LlavaError, RunError } from "../errors.ts";
import { type Arrays, arrayOf, bytesPerElement, type DType } from "../graph/tensor.ts";
import { createPool } from "./pool.ts";
import { type Allocation, messageOf, type Notice } from "./protocol.ts";

interface Place {
  readonly memory: ArrayBuffer;
  readonly byteOffset: number;
}

/** Memory that could not be had is remembered as its error, which whoever touches it gets. */
export class Storage {
  readonly #places = new Map<number, Place | LlavaError>();
  readonly #pools = new Map<string, { readonly memory: ArrayBuffer | LlavaError; readonly ids: number[] }>();

  apply(notice: Notice): void {
    if (notice.type === "reserve") {
      this.#pools.set(notice.pool, {
        memory: attempt(notice.bytes, () => createPool(notice.pool, notice.bytes)),
        ids: [],
      });
    } else if (notice.type === "allocate") this.#places.set(notice.id, this.#place(notice));
    else if (notice.type === "free") this.#places.delete(notice.id);
    else {
      for (const id of this.#pools.get(notice.pool)?.ids ?? []) this.#places.delete(id);
      this.#pools.delete(notice.pool);
    }
  }

  #place({ id, bytes, pool }: Allocation): Place | LlavaError {
    if (pool === undefined) {
      const memory = attempt(bytes, () => new ArrayBuffer(bytes));
      return memory instanceof LlavaError ? memory : { memory, byteOffset: 0 };
    }
    const { memory, ids } = this.#pools.get(pool.name)!;
    ids.push(id);
    return memory instanceof LlavaError ? memory : { memory, byteOffset: pool.byteOffset };
  }

  /** `offset` and `length` count elements. */
  view<D extends DType>(id: number, dtype: D, offset: number, length: number): Arrays[D] {
    const place = this.#places.get(id);
    if (place === undefined) throw new BugError("ENGINE_BUFFER", { expected: "a live buffer", got: `buffer ${id}` });
    if (place instanceof LlavaError) throw place;
    return arrayOf(dtype, place.memory, place.byteOffset + offset * bytesPerElement[dtype], length);
  }
}

function attempt(bytes: number, take: () => ArrayBuffer): ArrayBuffer | LlavaError {
  try {
    return take();
  } catch (cause) {
    if (cause instanceof LlavaError) return cause;
    return new RunError("ENGINE_MEMORY", { expected: `${bytes} bytes of memory`, got: messageOf(cause), cause });
  }
}
