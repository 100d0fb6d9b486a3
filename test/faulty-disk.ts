// The disk as tests break it: every call of node:fs/promises that changes something is counted, and can fail or cut off
// all that follows. Use: vi.mock("node:fs/promises", async (original) => faultyDisk(await original())).
import type * as fs from "node:fs/promises";
import { dirname } from "node:path";

type Fs = typeof fs;

/** One call that changes the disk. */
export type DiskCall =
  | { readonly op: "mkdir" | "create" | "remove"; readonly path: string }
  | { readonly op: "write"; readonly path: string; readonly bytes: Uint8Array }
  | { readonly op: "sync"; readonly path: string }
  | { readonly op: "rename"; readonly path: string; readonly to: string };

/** What happens to a call: nothing, an error in its place, or an error after half of its bytes. */
export type Verdict = "pass" | { readonly error: Error; readonly torn?: boolean };

interface Disk {
  /** asked before every call */
  judge: (call: DiskCall, n: number) => Verdict;
  /** calls so far, as they were made */
  calls: DiskCall[];
}

export const disk: Disk = { judge: () => "pass", calls: [] };

/** Starts counting anew, with all calls passing. */
export function resetDisk(judge: Disk["judge"] = () => "pass"): void {
  disk.judge = judge;
  disk.calls = [];
}

export class PowerCut extends Error {}

/** The process ends at the n-th call (from 0): it does nothing, or half of its bytes, and nothing later happens. */
export function cutAt(n: number, torn: boolean): Disk["judge"] {
  return (_, i) => (i < n ? "pass" : { error: new PowerCut(`call ${i}`), torn: torn && i === n });
}

const systemError = (code: string, call: DiskCall): Error =>
  Object.assign(new Error(`${code}: injected, ${call.op} '${call.path}'`), { code, syscall: call.op, path: call.path });

/** The n-th call fails, and no other. */
export function failAt(n: number, code: string): Disk["judge"] {
  return (call, i) => (i === n ? { error: systemError(code, call) } : "pass");
}

/** From the n-th call on there is no room for anything new; removing goes on working. */
export function fullFrom(n: number): Disk["judge"] {
  const grows = ["mkdir", "create", "write", "sync"];
  return (call, i) => (i >= n && grows.includes(call.op) ? { error: systemError("ENOSPC", call) } : "pass");
}

async function judged<T>(call: DiskCall, run: () => Promise<T>, half?: () => Promise<unknown>): Promise<T> {
  const verdict = disk.judge(call, disk.calls.length);
  disk.calls.push(call);
  if (verdict === "pass") return run();
  if (verdict.torn === true) await half?.();
  throw verdict.error;
}

/** The module with its changing calls judged first. */
export function faultyDisk(real: Fs): Fs {
  return {
    ...real,
    mkdir: ((path: string, options: object) =>
      judged({ op: "mkdir", path }, () => real.mkdir(path, options))) as Fs["mkdir"],
    rm: (path, options) => judged({ op: "remove", path: String(path) }, () => real.rm(path, options)),
    rename: (path, to) => judged({ op: "rename", path: String(path), to: String(to) }, () => real.rename(path, to)),
    open: async (path, flags, mode) => {
      const open = (): Promise<fs.FileHandle> => real.open(path, flags, mode);
      const creates = /[wa]/.test(String(flags));
      const handle = creates ? await judged({ op: "create", path: String(path) }, open) : await open();
      return watched(handle, String(path));
    },
    appendFile: async (path, data) => {
      const bytes = Buffer.from(data as string);
      await judged({ op: "write", path: String(path), bytes }, () => real.appendFile(path, data));
    },
  };
}

function watched(handle: fs.FileHandle, path: string): fs.FileHandle {
  const own = {
    write: (chunk: Uint8Array, offset: number, length: number) => {
      const bytes = chunk.slice(offset, offset + length);
      const half = (): Promise<unknown> => handle.write(chunk, offset, length >> 1);
      return judged({ op: "write", path, bytes }, () => handle.write(chunk, offset, length), half);
    },
    sync: () => judged({ op: "sync", path }, () => handle.sync()),
  };
  return new Proxy(handle, {
    get: (target, key) => {
      if (key in own) return own[key as keyof typeof own];
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

type Folder = { readonly entries: Map<string, Folder | Contents>; durable: Map<string, Folder | Contents> };
type Contents = { bytes: Uint8Array; durable: Uint8Array };

/** How much of what was not flushed a power cut leaves. */
export interface Loss {
  /** names whose folder was not flushed since: there, or as before */
  readonly names: "kept" | "lost";
  readonly bytes: "kept" | "lost" | "torn";
}

/**
 * What lies below `root` after a power cut behind these calls, file by file: only what was flushed is sure. A model of
 * a disk that keeps no order among what is not flushed; `before` was there, flushed, at the beginning.
 */
export function afterPowerCut(
  root: string,
  before: ReadonlyMap<string, Uint8Array>,
  calls: readonly DiskCall[],
  loss: Loss,
): Map<string, Uint8Array> {
  const top: Folder = { entries: new Map(), durable: new Map() };
  const at = (path: string): Folder | Contents | undefined => walk(top, root, path);
  for (const [path, bytes] of before) addFlushed(top, root, path, bytes);
  for (const call of calls) apply(call, at);
  const found = new Map<string, Uint8Array>();
  collect(top, root, loss, found);
  return found;
}

const nameOf = (path: string): string => path.slice(dirname(path).length + 1);

function walk(top: Folder, root: string, path: string): Folder | Contents | undefined {
  if (path === root) return top;
  if (!path.startsWith(`${root}/`)) return undefined;
  const parent = walk(top, root, dirname(path));
  return parent !== undefined && "entries" in parent ? parent.entries.get(nameOf(path)) : undefined;
}

function addFlushed(top: Folder, root: string, path: string, bytes: Uint8Array): void {
  let here = top;
  for (const name of path
    .slice(root.length + 1, -nameOf(path).length - 1)
    .split("/")
    .filter(Boolean)) {
    const next = (here.entries.get(name) as Folder | undefined) ?? { entries: new Map(), durable: new Map() };
    here.entries.set(name, next);
    here.durable.set(name, next);
    here = next;
  }
  const file = { bytes, durable: bytes };
  here.entries.set(nameOf(path), file);
  here.durable.set(nameOf(path), file);
}

function apply(call: DiskCall, at: (path: string) => Folder | Contents | undefined): void {
  const node = at(call.path);
  if (call.op === "sync") {
    if (node !== undefined && "entries" in node) node.durable = new Map(node.entries);
    else if (node !== undefined) node.durable = node.bytes;
  }
  if (call.op === "write") (node as Contents).bytes = Buffer.concat([(node as Contents).bytes, call.bytes]);
  const parent = at(dirname(call.path));
  // removing what lies in no folder removes nothing
  if (parent === undefined || !("entries" in parent)) return;
  const name = nameOf(call.path);
  if (call.op === "mkdir" && node === undefined) parent.entries.set(name, { entries: new Map(), durable: new Map() });
  if (call.op === "create") parent.entries.set(name, { bytes: new Uint8Array(), durable: new Uint8Array() });
  if (call.op === "remove") parent.entries.delete(name);
  if (call.op === "rename") {
    parent.entries.delete(name);
    (at(dirname(call.to)) as Folder).entries.set(nameOf(call.to), node!);
  }
}

function collect({ entries, durable }: Folder, path: string, loss: Loss, found: Map<string, Uint8Array>): void {
  for (const [name, node] of loss.names === "kept" ? entries : durable) {
    const inner = `${path}/${name}`;
    if ("entries" in node) collect(node, inner, loss, found);
    else {
      const torn = node.bytes.subarray(0, Math.max(node.durable.length, node.bytes.length >> 1));
      found.set(inner, loss.bytes === "kept" ? node.bytes : loss.bytes === "lost" ? node.durable : torn);
    }
  }
}
