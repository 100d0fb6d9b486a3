// Files under Node: ranged reads, whole text and JSON with limits, and writes that are either complete or absent.
import { isUtf8 } from "node:buffer";
import { appendFile, mkdir, open, readdir, rename, rm, stat, statfs, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BugError, InputError, type LlavaError, RunError } from "../errors.ts";
import { checkRange, type ByteSource, type ByteStream } from "./byte-source.ts";
import { parseJson, type JsonOptions } from "./json.ts";
import { isAlive } from "./process-node.ts";

/** Node moves at most 2 GiB - 1 in one call */
const MOST_PER_CALL = 2 ** 30;

/**
 * Opens a regular file for ranged reads; it may be larger than 4 GiB.
 * Throws `FILE_MISSING`, `FILE_UNREADABLE`, and on read `FILE_TRUNCATED` where the file shrank meanwhile.
 */
export async function openFile(path: string): Promise<ByteSource & { close(): Promise<void> }> {
  const size = await sizeOfFile(path);
  const handle = await open(path, "r").catch((cause: unknown) => unreadable(path, cause));
  return {
    name: path,
    size,
    read: async (offset, length) => {
      checkRange(path, size, offset, length);
      const bytes = new Uint8Array(length);
      await fill(handle, bytes, offset, path);
      return bytes;
    },
    close: () => handle.close(),
  };
}

async function fill(handle: FileHandle, bytes: Uint8Array, offset: number, path: string): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const wanted = Math.min(bytes.length - done, MOST_PER_CALL);
    const { bytesRead } = await handle
      .read(bytes, done, wanted, offset + done)
      .catch((cause: unknown) => unreadable(path, cause));
    if (bytesRead === 0) {
      throw new InputError("FILE_TRUNCATED", {
        expected: `${bytes.length} bytes from byte ${offset}`,
        got: `${done}, the file shrank while it was read`,
        where: path,
      });
    }
    done += bytesRead;
  }
}

/** The size of a regular file: pipes and devices, which could block or never end, are refused. */
async function sizeOfFile(path: string): Promise<number> {
  const status = await stat(path).catch((cause: unknown) => unreadable(path, cause));
  if (status.isFile()) return status.size;
  throw new InputError("FILE_UNREADABLE", {
    expected: "a regular file",
    got: status.isDirectory() ? "a folder" : "a device, pipe or socket",
    where: path,
  });
}

function unreadable(path: string, cause: unknown): never {
  const { code, message } = cause as NodeJS.ErrnoException;
  const missing = code === "ENOENT" || code === "ENOTDIR";
  throw new InputError(missing ? "FILE_MISSING" : "FILE_UNREADABLE", {
    expected: missing ? "a file" : "a readable file",
    got: missing ? "nothing there" : (code ?? message),
    where: path,
    cause,
  });
}

export interface ReadOptions {
  /** refuses larger files with `FILE_TOO_LARGE`; 256 MiB unless told */
  readonly maxBytes?: number;
}

/** The text of a UTF-8 file. Throws as `openFile` does, `FILE_TOO_LARGE`, and `TEXT_INVALID` naming the line. */
export async function readTextFile(path: string, { maxBytes = 2 ** 28 }: ReadOptions = {}): Promise<string> {
  const file = await openFile(path);
  try {
    if (file.size > maxBytes) {
      throw new InputError("FILE_TOO_LARGE", {
        expected: `at most ${maxBytes} bytes`,
        got: `${file.size}`,
        where: path,
      });
    }
    const bytes = await file.read(0, file.size);
    const text = Buffer.from(bytes.buffer).toString("utf8");
    if (!isUtf8(bytes)) {
      const line = text.slice(0, text.indexOf("\ufffd")).split("\n").length;
      throw new InputError("TEXT_INVALID", {
        expected: "UTF-8 text",
        got: "other bytes",
        where: `${path}:${line}`,
        fix: "save it as UTF-8",
      });
    }
    return text;
  } finally {
    await file.close();
  }
}

/** Parses a JSON file; throws what `readTextFile` and `parseJson` throw, naming `path:line:column`. */
export async function readJsonFile(path: string, options: ReadOptions & JsonOptions = {}): Promise<unknown> {
  return parseJson(await readTextFile(path, options), path, options);
}

let written = 0;
const swept = new Set<string>();

/**
 * Writes a whole file or none: beside the target, flushed to disk, renamed over it, folder flushed.
 * After a crash the target holds its old or its new content. What streams is never held in memory as a whole.
 * `mode` is that of a new file, less the process's mask. Throws `DISK_FULL` (bytes needed and free; before writing where the size is known), `FILE_NOT_WRITABLE`,
 * `FILE_WRITE_FAILED`, or what the stream throws; the unfinished file is removed in each case.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array | ByteStream | AsyncIterable<Uint8Array>,
  mode = 0o666,
): Promise<void> {
  const bytes = typeof data === "string" ? Buffer.from(data, "utf8") : data;
  const chunks = bytes instanceof Uint8Array ? [bytes] : "chunks" in bytes ? bytes.chunks : bytes;
  const size = bytes instanceof Uint8Array ? bytes.length : "size" in bytes ? bytes.size : undefined;
  const progress = { path, size, bytes: 0 };
  if (size !== undefined) await requireRoom(dirname(path), size, path);
  await removeAbandoned(dirname(path));
  const unfinished = `${path}.llava-${process.pid}-${written++}.tmp`;
  try {
    await writeThrough(unfinished, chunks, progress, mode);
    if (size !== undefined && progress.bytes !== size) {
      throw new BugError("STREAM_SIZE", { expected: `${size} bytes`, got: `${progress.bytes}`, where: path });
    }
    await rename(unfinished, path).catch((cause: unknown) => unwritable(progress, cause));
    await flushFolder(dirname(path));
  } catch (error) {
    // where nothing could be written nothing can be removed, and what matters is why
    await rm(unfinished, { force: true }).catch(() => undefined);
    throw error;
  }
}

interface Progress {
  readonly path: string;
  readonly size: number | undefined;
  /** written so far */
  bytes: number;
}

async function writeThrough(
  path: string,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  progress: Progress,
  mode: number,
): Promise<void> {
  const failed = (cause: unknown): never => unwritable(progress, cause);
  const handle = await open(path, "wx", mode).catch(failed);
  try {
    for await (const chunk of chunks) {
      for (let done = 0; done < chunk.length;) {
        const wanted = Math.min(chunk.length - done, MOST_PER_CALL);
        const { bytesWritten } = await handle.write(chunk, done, wanted).catch(failed);
        done += bytesWritten;
        progress.bytes += bytesWritten;
      }
    }
    await handle.sync().catch(failed);
  } finally {
    await handle.close().catch(failed);
  }
}

/** Names survive a power cut only once their folder is on disk; Windows offers no such call. Throws as `writeFileAtomic`. */
export async function flushFolder(path: string): Promise<void> {
  if (process.platform !== "win32") await syncAt(path, "r");
}

async function syncAt(path: string, flags: string): Promise<void> {
  const failed = (cause: unknown): never => {
    throw writeFailure(path, cause);
  };
  const handle = await open(path, flags).catch(failed);
  try {
    await handle.sync().catch(failed);
  } finally {
    await handle.close().catch(failed);
  }
}

/** Makes a folder and those above it where they are missing. Throws as `writeFileAtomic`. */
export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((cause: unknown) => {
    throw writeFailure(path, cause);
  });
}

/** Adds to a file, made when missing. Survives a kill, and once `flushFile` is done a power cut. Throws as `writeFileAtomic`. */
export async function appendText(path: string, text: string): Promise<void> {
  await appendFile(path, text).catch((cause: unknown) => {
    throw writeFailure(path, cause);
  });
}

/** Puts what was appended to a file on disk. Throws as `writeFileAtomic`. */
export async function flushFile(path: string): Promise<void> {
  await syncAt(path, "r+");
}

/** Removes what killed writers left in a folder; once for each folder, as listing a large one takes time. */
async function removeAbandoned(folder: string): Promise<void> {
  if (swept.has(folder)) return;
  swept.add(folder);
  for (const name of await readdir(folder).catch(() => [])) {
    const pid = /\.llava-(\d+)-\d+\.tmp$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(folder, name), { force: true });
  }
}

async function freeBytes(folder: string): Promise<number | undefined> {
  const space = await statfs(folder).catch(() => undefined);
  // some network file systems report no blocks at all
  return space === undefined || space.blocks === 0 ? undefined : space.bavail * space.bsize;
}

/** Throws `DISK_FULL` when a folder's disk has less than `bytes` free, as far as the system says. */
export async function requireRoom(folder: string, bytes: number, where = folder, purpose = ""): Promise<void> {
  const free = await freeBytes(folder);
  if (free !== undefined && free < bytes) {
    throw diskFull(where, `room for ${bytes} bytes${purpose}`, `${free} bytes free`);
  }
}

function diskFull(where: string, expected: string, got: string, cause?: unknown): RunError {
  const fix = "free some disk space or write elsewhere, then run it again";
  return new RunError("DISK_FULL", { expected, got, where, fix, cause });
}

/** What a failed call while writing `path` means: `DISK_FULL`, `FILE_NOT_WRITABLE` or `FILE_WRITE_FAILED`. */
export function writeFailure(path: string, cause: unknown, room = "room to write"): LlavaError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") return diskFull(path, room, "a full disk", cause);
  const details = { got: code ?? message, where: path, cause };
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new InputError("FILE_NOT_WRITABLE", { expected: "an existing folder to write into", ...details });
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS" || code === "EISDIR" || code === "ENAMETOOLONG") {
    return new InputError("FILE_NOT_WRITABLE", { expected: "a place where a file may be written", ...details });
  }
  return new RunError("FILE_WRITE_FAILED", { expected: "a completed write", ...details });
}

function unwritable({ path, size, bytes }: Progress, cause: unknown): never {
  throw writeFailure(path, cause, `room for ${size === undefined ? `more than ${bytes}` : size} bytes`);
}
