// Reads the little-endian fields of a GGUF header, each bounded by the file before anything is allocated for it.
import { BugError, InputError } from "../errors.ts";

/** Thrown where the part of the file in memory ends before the header does: read more and start again. */
export class PrefixTooShort extends BugError {
  constructor() {
    super("GGUF_PREFIX", { expected: "the whole header", got: "its first part" });
  }
}

/** A position in the first `bytes` of a file of `fileSize` bytes. */
export class GgufCursor {
  /** what is being read, for error messages */
  field = "header";
  offset = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #name: string;
  readonly #fileSize: number;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  constructor(bytes: Uint8Array, name: string, fileSize: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#name = name;
    this.#fileSize = fileSize;
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  uint64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  /** A count of things that take at least `bytesEach`: refused above `most` or beyond what the file can still hold. */
  count(most: number, bytesEach: number): number {
    const count = this.uint64();
    const room = Math.floor((this.#fileSize - this.offset) / bytesEach);
    if (count > BigInt(Math.min(most, room))) {
      throw this.invalid(room < most ? `at most ${room}, as the file has room for` : `at most ${most}`, `${count}`);
    }
    return Number(count);
  }

  /** a length in 64 bits, then that many bytes of UTF-8 */
  string(mostBytes: number): string {
    const length = this.count(mostBytes, 1);
    const start = this.#take(length);
    try {
      return this.#decoder.decode(this.#bytes.subarray(start, start + length));
    } catch {
      throw this.invalid("UTF-8 text", "other bytes");
    }
  }

  /** a copy of the next `length` bytes, aligned for every typed array */
  copy(length: number): ArrayBuffer {
    const start = this.#take(length);
    return new Uint8Array(this.#bytes.subarray(start, start + length)).buffer;
  }

  invalid(expected: string, got: string): InputError {
    return new InputError("GGUF_INVALID", {
      expected,
      got,
      where: `${this.#name}, ${this.field}, before byte ${this.offset}`,
    });
  }

  #take(length: number): number {
    const start = this.offset;
    if (length > this.#fileSize - start)
      throw this.invalid(`${length} bytes more`, `${this.#fileSize - start}, the file was cut off`);
    if (length > this.#bytes.length - start) throw new PrefixTooShort();
    this.offset = start + length;
    return start;
  }
}
