// Reads a ledger's rows from the file, a few megabytes at a time, up to the first that is not whole.
import type { FileHandle } from "node:fs/promises";
import { InputError } from "../errors.ts";
import { decodeHead, type Head } from "./ledger-rows.ts";

/** Where the whole rows end, and the bytes that a kill left after them. */
export interface Tail {
  readonly end: number;
  readonly torn: Buffer;
}

export interface Found {
  readonly head: Head;
  readonly offset: number;
  readonly length: number;
  /** valid until the next block is asked for */
  readonly line: Buffer;
}

/** More than this after the last whole row is no torn row. */
const longestTail = 2 ** 26;
const blockBytes = 2 ** 22;

/**
 * The whole rows in order, block by block; returns what follows them.
 *
 * @throws InputError `LEDGER_CORRUPT` for a damaged line that is not the last
 */
export async function* scanRows(file: FileHandle, path: string): AsyncGenerator<readonly Found[], Tail> {
  const block = Buffer.alloc(blockBytes);
  let [rest, end, line]: [Buffer, number, number] = [Buffer.alloc(0), 0, 1];
  for (let position = 0; ;) {
    const { bytesRead } = await file.read(block, 0, block.length, position);
    if (bytesRead === 0) return { end, torn: rest };
    position += bytesRead;
    const fresh = block.subarray(0, bytesRead);
    const bytes = rest.length === 0 ? fresh : Buffer.concat([rest, fresh]);
    const found: Found[] = [];
    let start = 0;
    for (let cut = bytes.indexOf(10); cut >= 0; cut = bytes.indexOf(10, start), line++) {
      const head = decodeHead(bytes, start, cut);
      if (head === undefined) {
        yield found;
        return { end, torn: await readTail(file, end, path, line) };
      }
      const length = cut + 1 - start;
      found.push({ head, offset: end, length, line: bytes.subarray(start, cut + 1) });
      end += length;
      start = cut + 1;
    }
    yield found;
    // the block is read over
    rest = Buffer.from(bytes.subarray(start));
  }
}

/** What follows the last whole row. A kill tears the end only: a whole row further on means that the file was changed. */
async function readTail(file: FileHandle, start: number, path: string, line: number): Promise<Buffer> {
  const length = (await file.stat()).size - start;
  if (length > longestTail) throw corrupt(path, line);
  const tail = Buffer.alloc(length);
  await file.read(tail, 0, length, start);
  for (let cut = tail.indexOf(10); cut >= 0; cut = tail.indexOf(10, cut + 1)) {
    const next = tail.indexOf(10, cut + 1);
    if (next >= 0 && decodeHead(tail, cut + 1, next) !== undefined) throw corrupt(path, line);
  }
  return tail;
}

function corrupt(path: string, line: number): InputError {
  const fix = "restore the file from a copy, or move it away to ask again for everything";
  const where = `${path}:${line}`;
  return new InputError("LEDGER_CORRUPT", { expected: "a row as it was written", got: "another", where, fix });
}
