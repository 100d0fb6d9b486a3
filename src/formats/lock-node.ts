// One process at a time: a lock file that names its process, taken over when that process is gone.
import { link, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { InputError, LlavaError } from "../errors.ts";
import { writeFailure } from "./node.ts";
import { isAlive, placeOfProcesses, startOf } from "./process-node.ts";

/** What the lock protects, for its error. */
export interface LockSubject {
  /** the error's code, e.g. `RUN_BUSY` */
  readonly code: string;
  /** e.g. "no other run with this output" */
  readonly expected: string;
}

interface Holder {
  readonly pid: number;
  /** tells a process from a later one with its number; absent where the system does not say */
  readonly started?: string;
  /** process numbers mean something in one place only: a host, or a container on it */
  readonly place?: string;
}

/** A holder of another place can't be asked: it touches its lock so often, and is gone after so long a silence. */
const TOUCH_MS = 15_000;
const SILENCE_MS = 60_000;

const held = new Set<string>();
let drafts = 0;

/** Takes the lock; the result releases it. Throws `subject.code` while a living process holds it. */
export async function lockFile(path: string, subject: LockSubject): Promise<() => Promise<void>> {
  const draft = `${path}.${process.pid}-${drafts++}.tmp`;
  try {
    await writeFile(draft, `${JSON.stringify(await holderOf(process.pid))}\n`);
    for (let tries = 0; !(await take(draft, path)); tries++) {
      const found = await read(path);
      if (tries > 9 || (found !== undefined && (await isHeld(path, found, draft)))) throw await busy(path, subject);
      if (found !== undefined) await setAside(path, `${draft}.old`, found.text);
    }
  } catch (cause) {
    throw cause instanceof LlavaError ? cause : writeFailure(path, cause);
  } finally {
    await rm(draft, { force: true });
  }
  return hold(path);
}

/** Throws as `lockFile` does, but takes nothing. */
export async function refuseLocked(path: string, subject: LockSubject): Promise<void> {
  const found = await read(path);
  if (found !== undefined && (await isHeld(path, found))) throw await busy(path, subject);
}

function hold(path: string): () => Promise<void> {
  held.add(path);
  const touch = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => undefined), TOUCH_MS);
  touch.unref();
  return async () => {
    clearInterval(touch);
    held.delete(path);
    await rm(path, { force: true });
  };
}

/** A link appears with its content, so that no one ever reads half a lock. */
async function take(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    // file systems without hard links
    if (code === "EPERM" || code === "ENOTSUP" || code === "ENOSYS") return create(draft, path);
    throw error;
  }
}

async function create(draft: string, path: string): Promise<boolean> {
  try {
    await writeFile(path, await readFile(draft), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

interface Found {
  readonly text: string;
  readonly touched: number;
}

async function read(path: string): Promise<Found | undefined> {
  try {
    return { text: await readFile(path, "utf8"), touched: (await stat(path)).mtimeMs };
  } catch {
    return undefined;
  }
}

/** Removes the lock that was found abandoned; one that another process took meanwhile is put back. */
async function setAside(path: string, aside: string, text: string): Promise<void> {
  await rename(path, aside).catch(() => undefined);
  const moved = await readFile(aside, "utf8").catch(() => text);
  if (moved !== text) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

async function isHeld(path: string, { text, touched }: Found, draft?: string): Promise<boolean> {
  const holder = parseHolder(text);
  if (holder === undefined) return false;
  if (holder.place !== undefined && holder.place !== (await placeOfProcesses())) {
    // the draft was written just now: its time is of the clock that the lock's is of
    const now = draft === undefined ? Date.now() : (await stat(draft)).mtimeMs;
    return now - touched < SILENCE_MS;
  }
  if (holder.pid === process.pid) return held.has(path);
  if (!isAlive(holder.pid)) return false;
  return holder.started === undefined || holder.started === (await startOf(holder.pid));
}

function parseHolder(text: string): Holder | undefined {
  try {
    const value = JSON.parse(text) as Holder | number;
    const holder = typeof value === "number" ? { pid: value } : value;
    return Number.isSafeInteger(holder.pid) && holder.pid > 0 ? holder : undefined;
  } catch {
    return undefined;
  }
}

async function holderOf(pid: number): Promise<Holder> {
  const [started, place] = [await startOf(pid), await placeOfProcesses()];
  return { pid, place, ...(started === undefined ? {} : { started }) };
}

async function busy(path: string, { code, expected }: LockSubject): Promise<InputError> {
  const holder = parseHolder((await read(path))?.text ?? "");
  const elsewhere = holder?.place !== undefined && holder.place !== (await placeOfProcesses());
  return new InputError(code, {
    expected,
    got: `process ${holder?.pid ?? "unknown"}${elsewhere ? ` on ${holder.place!.split(" ")[0]}` : ""}`,
    where: path,
    fix: elsewhere
      ? `wait for it; if it is gone, a minute is enough`
      : `wait for it or stop it (kill ${holder?.pid ?? "it"})`,
  });
}
