// The ledger: an append-only file of every attempt and its money; what it acknowledged survives any kill.
import { constants, readSync } from "node:fs";
import { open, writeFile, type FileHandle } from "node:fs/promises";
import { BugError, InputError } from "../errors.ts";
import { Books, type Doubt, type Queue, type Totals } from "./books.ts";
import type { KeyState, Place } from "./key-table.ts";
import { openLog, type Append } from "./ledger-log.ts";
import { decodeRow, encodeRow, type AnswerRow, type BatchRow, type LedgerRow } from "./ledger-rows.ts";
import { scanRows, type Tail } from "./ledger-scan.ts";
import { lockFile } from "../formats/lock-node.ts";

export interface Ledger {
  readonly path: string;
  readonly totals: Totals;
  /** resolves once the row is on disk; rows that arrive together share one flush */
  append(row: LedgerRow): Promise<void>;
  state(key: string): KeyState;
  /** the reply to a request, from disk; undefined when there is none */
  answer(key: string): AnswerRow | undefined;
  /** what is known of a request that may have been charged without an answer */
  doubt(key: string): Doubt | undefined;
  /** requests in doubt that have no answer either */
  doubts(): readonly Doubt[];
  /** requests of a batch that have no outcome yet */
  queue(batch: string): readonly Queue[];
  /** batches that have not ended, by their key */
  readonly batches: ReadonlyMap<string, BatchRow>;
  /** all rows in order, from disk */
  rows(): AsyncGenerator<LedgerRow>;
  close(): Promise<void>;
}

/**
 * Opens or creates a ledger; one process at a time. A row that a kill tore off is set aside in a file of its own.
 * Opened to read only, it takes no lock and changes nothing; requests that a run has under way look as if in doubt.
 *
 * @throws InputError `LEDGER_CORRUPT` for a damaged line that is not the last, `LEDGER_BUSY` when another run holds it,
 *   `FILE_NOT_WRITABLE`, and `FILE_MISSING` where there is none to read
 */
export async function openLedger(path: string, { readOnly = false }: { readOnly?: boolean } = {}): Promise<Ledger> {
  const flags = readOnly ? constants.O_RDONLY : constants.O_RDWR | constants.O_CREAT;
  const file = await open(path, flags, 0o644).catch((cause: NodeJS.ErrnoException) => unopened(path, readOnly, cause));
  let unlock = (): Promise<void> => Promise.resolve();
  const close = async (): Promise<void> => {
    await file.close();
    await unlock();
  };
  try {
    if (!readOnly)
      unlock = await lockFile(`${path}.lock`, { code: "LEDGER_BUSY", expected: "no other run with this output" });
    const books = new Books((place) => readRow(file, place, path));
    const { end, torn } = await readBooks(file, path, books);
    if (torn.length > 0 && !readOnly) await setAside(file, path, end, torn);
    books.closeOpen();
    return ledgerOf(file, path, books, readOnly ? refuseToAppend : openLog(file, path, end), close);
  } catch (error) {
    await close();
    throw error;
  }
}

function ledgerOf(file: FileHandle, path: string, books: Books, log: Append, close: () => Promise<void>): Ledger {
  return {
    path,
    totals: books.totals,
    append: async (row) => {
      const place = await log(encodeRow(row));
      books.add(row, place);
    },
    state: (key) => books.state(key),
    answer(key) {
      const place = books.state(key) === "answered" ? books.place(key) : undefined;
      const row = place === undefined ? undefined : readRow(file, place, path);
      return row?.t === "answer" ? row : undefined;
    },
    doubt: (key) => books.doubt(key),
    doubts: () => books.doubts(),
    queue: (batch) => books.queue(batch),
    batches: books.batches,
    rows: () => readRows(file, path),
    close,
  };
}

function refuseToAppend(): Promise<never> {
  const got = "one opened to read";
  return Promise.reject(new BugError("LEDGER_READ_ONLY", { expected: "a ledger opened to write", got }));
}

function unopened(path: string, readOnly: boolean, cause: NodeJS.ErrnoException): never {
  const got = cause.code ?? cause.message;
  if (cause.code === "ENOENT" && readOnly) {
    const fix = "name the file that llava teach wrote with --out";
    throw new InputError("FILE_MISSING", { expected: "a ledger", got, where: path, fix });
  }
  throw new InputError("FILE_NOT_WRITABLE", { expected: "a place for the ledger", got, where: path, cause });
}

/** Keeps the bytes of rows that a kill cut off in a file of their own, and ends the ledger before them. */
async function setAside(file: FileHandle, path: string, end: number, torn: Buffer): Promise<void> {
  await writeFile(`${path}.torn-${end}`, torn);
  await file.truncate(end);
  await file.datasync();
}

/** One row: a read of a few microseconds, so that waiting for another thread would take longer. */
function readRow(file: FileHandle, { offset, length }: Place, path: string): LedgerRow {
  const bytes = Buffer.alloc(length);
  readSync(file.fd, bytes, 0, length, offset);
  const row = decodeRow(bytes);
  if (row !== undefined) return row;
  const where = `${path}, byte ${offset}`;
  throw new InputError("LEDGER_CORRUPT", { expected: "the row that was written", got: "another", where });
}

async function readBooks(file: FileHandle, path: string, books: Books): Promise<Tail> {
  const blocks = scanRows(file, path, (found) => books.note(found));
  for (;;) {
    const { value, done } = await blocks.next();
    if (done === true) return value;
  }
}

async function* readRows(file: FileHandle, path: string): AsyncGenerator<LedgerRow> {
  let rows: LedgerRow[] = [];
  const blocks = scanRows(file, path, (found) => void rows.push(found.row()));
  for (let done: boolean | undefined = false; done !== true;) {
    ({ done } = await blocks.next());
    yield* rows;
    rows = [];
  }
}
