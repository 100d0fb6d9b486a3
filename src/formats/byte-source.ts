// Where bytes are read from and how they are streamed out: a file, a blob or memory look the same to the formats.
import { InputError } from "../errors.ts";

/** Random access to a fixed number of bytes; may be larger than 4 GiB. */
export interface ByteSource {
  /** a path or a label for error messages */
  readonly name: string;
  /** in bytes */
  readonly size: number;
  /** `length` bytes from `offset` in fresh memory that the caller owns. Throws `FILE_TRUNCATED` beyond the end. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
}

/** Bytes that are made while they are written, with their total known beforehand. */
export interface ByteStream {
  readonly size: number;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** A source over bytes in memory (the browser, tests). */
export function memorySource(bytes: Uint8Array, name = "memory"): ByteSource {
  return {
    name,
    size: bytes.length,
    // oxlint-disable-next-line require-await -- a rejected promise rather than a throw, as the interface says
    read: async (offset, length) => {
      checkRange(name, bytes.length, offset, length);
      return new Uint8Array(bytes.subarray(offset, offset + length));
    },
  };
}

/** Refuses a range that is not wholly inside `size` bytes, before anything is allocated for it. */
export function checkRange(name: string, size: number, offset: number, length: number): void {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (valid && length <= size - offset) return;
  throw new InputError("FILE_TRUNCATED", {
    expected: `${length} bytes from byte ${offset}`,
    got: `${size} bytes in all`,
    where: name,
    fix: "fetch the file again",
  });
}
