// Appends rows to a file with group commit: whatever waits is written and flushed to disk together.
import type { FileHandle } from "node:fs/promises";
import { RunError } from "../errors.ts";
import type { Place } from "./key-table.ts";

/** Resolves with the row's place once it is on disk. After a failed flush every append fails: what the disk holds is unknown. */
export type Append = (bytes: Buffer) => Promise<Place>;

interface Waiting {
  readonly bytes: Buffer;
  readonly done: (place: Place) => void;
  readonly failed: (error: unknown) => void;
}

export function openLog(file: FileHandle, path: string, start: number): Append {
  let end = start;
  let flushing = false;
  let broken: unknown;
  let waiting: Waiting[] = [];
  const write = async (bytes: Buffer): Promise<void> => {
    for (let done = 0; done < bytes.length;) {
      done += (await file.write(bytes, done, bytes.length - done, end + done)).bytesWritten;
    }
    await file.datasync();
  };
  const flush = async (): Promise<void> => {
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      try {
        await write(Buffer.concat(group.map(({ bytes }) => bytes)));
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
  return (bytes) =>
    new Promise((done, failed) => {
      if (broken !== undefined) return failed(broken);
      waiting.push({ bytes, done, failed });
      if (flushing) return;
      flushing = true;
      void flush();
    });
}

function writeFailed(path: string, cause: NodeJS.ErrnoException): RunError {
  const full = cause.code === "ENOSPC" || cause.code === "EDQUOT";
  const fix = full ? "free some disk space, then run it again" : "see to the disk, then run it again";
  const got = full ? "a full disk" : (cause.code ?? cause.message);
  return new RunError(full ? "DISK_FULL" : "LEDGER_WRITE", {
    expected: "room for the ledger",
    got,
    where: path,
    fix,
    cause,
  });
}
