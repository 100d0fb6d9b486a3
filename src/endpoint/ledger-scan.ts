// Reads a ledger's rows from the file, a few megabytes at a time, up to the first that is not whole.
import type { FileHandle } from "node:fs/promises";
import { InputError } from "../errors.ts";
import { decodeHead, type Head, type LedgerRow } from "./ledger-rows.ts";

/** Where the whole rows end, and the bytes that a kill left after them. */
export interface Tail {
  readonly end: number;
  readonly torn: Buffer;
}

export interface Found {
  readonly head: Head;
  readonly offset: number;
  readonly length: number;
  /** the row itself; valid only while it is shown */
  row(): LedgerRow;
}

/** More than this after the last whole row is no torn row. */
const longestTail = 2 ** 26;
const blockBytes = 2 ** 22;

/**
 * Shows the whole rows in order and yields after each block; returns what follows them. Rows are shown one by one,
 * in a buffer that is read over, since hundreds of thousands that are kept for a while cost more than to read them.
 *
 * @throws InputError `LEDGER_CORRUPT` for a damaged line that is not the last
 */
export async function* scanRows(
  file: FileHandle,
  path: string,
  show: (found: Found) => void,
): AsyncGenerator<void, Tail> {
  let block = Buffer.allocUnsafe(blockBytes);
  let [rest, end, line] = [0, 0, 1];
  for (;;) {
    if (rest === block.length) block = Buffer.concat([block], 2 * rest);
    const { bytesRead } = await file.read(block, rest, block.length - rest, end + rest);
    if (bytesRead === 0) return { end, torn: Buffer.from(block.subarray(0, rest)) };
    const bytes = block.subarray(0, rest + bytesRead);
    let start = 0;
    // what was left of the last block holds no line's end
    for (let cut = bytes.indexOf(10, rest); cut >= 0; cut = bytes.indexOf(10, start), line++) {
      const head = decodeHead(bytes, start, cut);
      if (head === undefined) return { end, torn: await readTail(file, end, path, line) };
      const first = start;
      start = cut + 1;
      show({ head, offset: end, length: start - first, row: () => parse(bytes, first, cut) });
      end += start - first;
    }
    rest = bytes.length - start;
    block.copyWithin(0, start, bytes.length);
    yield;
  }
}

function parse(bytes: Buffer, start: number, end: number): LedgerRow {
  return JSON.parse(bytes.toString("utf8", start, end)) as LedgerRow;
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
