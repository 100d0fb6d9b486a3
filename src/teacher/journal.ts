// The teacher's journal: an append-only log of what was asked and answered; what it acknowledged survives any kill.
import { constants } from "node:fs";
import { open, writeFile, type FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { InputError, RunError } from "../errors.ts";
import { lockFile } from "./lock.ts";

/** One line. An intent stands before its request is sent, an answer before anything is made of it. */
export type JournalRow =
  | { readonly t: "intent"; readonly id: string; readonly key: string; readonly at: string }
  | ({ readonly t: "answer" } & JournalAnswer)
  | { readonly t: "failed"; readonly id: string; readonly key: string; readonly at: string; readonly code: string };

export interface JournalAnswer {
  readonly id: string;
  readonly key: string;
  readonly at: string;
  readonly text: string;
  readonly finish: string;
  readonly refusal?: string;
  readonly model?: string;
  readonly promptTokens?: number;
  readonly completionTokens?: number;
}

export interface Journal {
  readonly path: string;
  /** resolves once the row is on disk; rows that arrive together share one flush */
  append(row: JournalRow): Promise<void>;
  has(key: string): boolean;
  /** the answer to a request, from disk; undefined when there is none */
  answer(key: string): Promise<JournalAnswer | undefined>;
  /** ids of requests that were sent before a crash and whose answer never arrived: they may have been charged */
  readonly inDoubt: readonly string[];
  close(): Promise<void>;
}

interface Place {
  readonly offset: number;
  readonly length: number;
}

/**
 * Opens or creates a journal; one process at a time.
 *
 * @throws InputError `JOURNAL_CORRUPT` for a damaged line that is not the last, `TEACHER_BUSY` when another run holds it
 */
export async function openJournal(path: string): Promise<Journal> {
  const unlock = await lockFile(`${path}.lock`);
  let file: FileHandle | undefined;
  const close = async (): Promise<void> => {
    await file?.close();
    await unlock();
  };
  try {
    file = await openForAppend(path);
    return await readJournal(file, path, close);
  } catch (error) {
    await close();
    throw error;
  }
}

function openForAppend(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | constants.O_CREAT, 0o644).catch((cause: NodeJS.ErrnoException) => {
    const got = cause.code ?? cause.message;
    throw new InputError("FILE_NOT_WRITABLE", {
      expected: "a place for the teacher's journal",
      got,
      where: path,
      cause,
    });
  });
}

async function readJournal(file: FileHandle, path: string, close: () => Promise<void>): Promise<Journal> {
  const found = await scan(file, path);
  if (found.torn.length > 0) await setAside(file, path, found);
  const log = openLog(file, path, found.end);
  return {
    path,
    inDoubt: [...found.open.values()],
    append: async (row) => {
      const place = await log(row);
      if (row.t === "answer") found.answers.set(row.key, place);
    },
    has: (key) => found.answers.has(key),
    answer: async (key) => {
      const place = found.answers.get(key);
      return place === undefined ? undefined : readAnswer(file, place, path);
    },
    close,
  };
}

/** JSON with a checksum of all that follows it as its first field. */
function encodeRow(row: JournalRow): Buffer {
  const rest = JSON.stringify(row).slice(1);
  return Buffer.from(`{"crc":"${checksum(rest)}",${rest}\n`);
}

function decodeRow(line: string): JournalRow | undefined {
  const found = /^\{"crc":"([0-9a-f]{8})",/.exec(line);
  if (found === null) return undefined;
  const rest = line.slice(found[0].length);
  return checksum(rest) === found[1] ? (JSON.parse(`{${rest}`) as JournalRow) : undefined;
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, "0");
}

interface Found {
  readonly answers: Map<string, Place>;
  /** intents without an outcome: id by key */
  readonly open: Map<string, string>;
  /** where the next row goes */
  end: number;
  /** bytes after the last whole row */
  torn: Buffer;
}

/** More than this after the last whole row is no torn row. */
const longestTail = 2 ** 26;

/** Reads all rows in order, a few megabytes at a time, up to the first that is not whole. */
async function scan(file: FileHandle, path: string): Promise<Found> {
  const found: Found = { answers: new Map(), open: new Map(), end: 0, torn: Buffer.alloc(0) };
  const block = Buffer.alloc(2 ** 22);
  let line = 1;
  for (let position = 0; ;) {
    const { bytesRead } = await file.read(block, 0, block.length, position);
    if (bytesRead === 0) return found;
    position += bytesRead;
    const bytes = Buffer.concat([found.torn, block.subarray(0, bytesRead)]);
    let start = 0;
    for (let cut = bytes.indexOf(10); cut >= 0; cut = bytes.indexOf(10, start), line++) {
      const row = decodeRow(bytes.toString("utf8", start, cut));
      if (row === undefined) {
        found.torn = await readTail(file, found.end, path, line);
        return found;
      }
      note(found, row, cut + 1 - start);
      start = cut + 1;
    }
    found.torn = bytes.subarray(start);
  }
}

function note(found: Found, row: JournalRow, length: number): void {
  if (row.t === "intent") found.open.set(row.key, row.id);
  else found.open.delete(row.key);
  if (row.t === "answer") found.answers.set(row.key, { offset: found.end, length });
  found.end += length;
}

/** What follows the last whole row. A kill tears the end only: a whole row further on means that the file was changed. */
async function readTail(file: FileHandle, start: number, path: string, line: number): Promise<Buffer> {
  const length = (await file.stat()).size - start;
  if (length > longestTail) throw corrupt(path, line);
  const tail = Buffer.alloc(length);
  await file.read(tail, 0, length, start);
  const after = tail.toString("utf8").split("\n").slice(1);
  if (after.some((text) => decodeRow(text) !== undefined)) throw corrupt(path, line);
  return tail;
}

function corrupt(path: string, line: number): InputError {
  const fix = "restore the file from a copy, or move it away to ask again for everything";
  return new InputError("JOURNAL_CORRUPT", {
    expected: "a row as it was written",
    got: "another",
    where: `${path}:${line}`,
    fix,
  });
}

/** Keeps the bytes of rows that a kill cut off in a file of their own, and ends the journal before them. */
async function setAside(file: FileHandle, path: string, found: Found): Promise<void> {
  await writeFile(`${path}.torn-${found.end}`, found.torn);
  await file.truncate(found.end);
  await file.datasync();
}

/** Appends with group commit: whatever waits is written and flushed together. */
function openLog(file: FileHandle, path: string, start: number): (row: JournalRow) => Promise<Place> {
  let end = start;
  let flushing = false;
  let broken: unknown;
  let waiting: { bytes: Buffer; done: (place: Place) => void; failed: (error: unknown) => void }[] = [];
  const flush = async (): Promise<void> => {
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      try {
        const bytes = Buffer.concat(group.map(({ bytes }) => bytes));
        for (let done = 0; done < bytes.length;) {
          done += (await file.write(bytes, done, bytes.length - done, end + done)).bytesWritten;
        }
        await file.datasync();
        for (const { bytes, done } of group) {
          done({ offset: end, length: bytes.length });
          end += bytes.length;
        }
      } catch (cause) {
        broken = writeFailed(path, cause as NodeJS.ErrnoException);
        for (const { failed } of [...group, ...waiting]) failed(broken);
        waiting = [];
      }
    }
    flushing = false;
  };
  return (row) => {
    return new Promise((done, failed) => {
      if (broken !== undefined) return failed(broken);
      waiting.push({ bytes: encodeRow(row), done, failed });
      if (flushing) return;
      flushing = true;
      void flush();
    });
  };
}

function writeFailed(path: string, cause: NodeJS.ErrnoException): RunError {
  const full = cause.code === "ENOSPC" || cause.code === "EDQUOT";
  const fix = full ? "free some disk space, then run it again" : "see to the disk, then run it again";
  const got = full ? "a full disk" : (cause.code ?? cause.message);
  return new RunError(full ? "DISK_FULL" : "JOURNAL_WRITE", {
    expected: "room for the journal",
    got,
    where: path,
    fix,
    cause,
  });
}

async function readAnswer(file: FileHandle, { offset, length }: Place, path: string): Promise<JournalAnswer> {
  const bytes = Buffer.alloc(length);
  await file.read(bytes, 0, length, offset);
  const row = decodeRow(bytes.toString("utf8", 0, length - 1));
  if (row?.t !== "answer") {
    throw new InputError("JOURNAL_CORRUPT", {
      expected: "the row that was written",
      got: "another",
      where: `${path}, byte ${offset}`,
    });
  }
  return row;
}
