// One file over HTTP: continued where an earlier try ended, checked by its hash, in place only when right.
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { InputError, RunError } from "../errors.ts";
import { flushFolder, requireRoom, writeFailure } from "../formats/node.ts";

/** What the hub says of a file's content: its SHA-256 (large files), or git's SHA-1 (small ones). */
export interface Checksum {
  readonly kind: "sha256" | "git-sha1";
  readonly hex: string;
}

export interface Download {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly path: string;
  readonly size: number;
  readonly checksum: Checksum;
  readonly signal?: AbortSignal | undefined;
  /** told how many bytes of the file are there */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/**
 * Downloads to `path`; an unfinished file stays beside it, to be continued. Throws `HUB_CHECKSUM` (the unfinished file is
 * removed then), `HUB_REFUSED`, `HUB_UNREACHABLE`, `HUB_CUT_OFF`, `DISK_FULL`.
 */
export async function download(file: Download): Promise<void> {
  const unfinished = `${file.path}.incomplete`;
  await mkdir(dirname(file.path), { recursive: true });
  const present = (await stat(unfinished).catch(() => undefined))?.size ?? 0;
  const start = present <= file.size ? present : 0;
  await requireRoom(dirname(file.path), file.size - start, file.path);
  const hash = createDigest(file);
  if (start > 0) for await (const chunk of createReadStream(unfinished)) hash.update(chunk as Buffer);
  const whole = start < file.size || file.size === 0 ? await receive(file, unfinished, start, hash) : hash;
  const got = whole.digest("hex");
  if (got !== file.checksum.hex) {
    await rm(unfinished, { force: true });
    const fix = "pull it again; if this repeats, the file is damaged where it lies";
    const expected = `content of ${file.checksum.kind} ${file.checksum.hex}`;
    throw new RunError("HUB_CHECKSUM", { expected, got, where: file.url, fix });
  }
  await rename(unfinished, file.path);
  await flushFolder(dirname(file.path));
}

/** git hashes a header with the size before the content (git-scm.com/book, "Git Objects"). */
function createDigest({ checksum: { kind }, size }: Download): Hash {
  return kind === "sha256" ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

/** Appends the bytes from `start` on; begins anew where the server sends the whole file. Returns the hash of all. */
async function receive(file: Download, unfinished: string, start: number, hash: Hash): Promise<Hash> {
  const response = await request(file, start);
  const continued = start > 0 && response.status === 206;
  const digest = continued ? hash : createDigest(file);
  const handle = await open(unfinished, continued ? "a" : "w");
  let done = continued ? start : 0;
  try {
    for await (const chunk of chunksOf(response, file.url)) {
      done += chunk.length;
      if (done > file.size)
        throw new RunError("HUB_CHECKSUM", { expected: `${file.size} bytes`, got: "more", where: file.url });
      digest.update(chunk);
      await handle.write(chunk).catch((cause: unknown) => {
        throw writeFailure(unfinished, cause);
      });
      file.onBytes?.(done);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (done < file.size) {
    const fix = "run it again: it goes on from there";
    throw new RunError("HUB_CUT_OFF", { expected: `${file.size} bytes`, got: `${done}`, where: file.url, fix });
  }
  return digest;
}

async function request(file: Download, start: number): Promise<Response> {
  const headers = start > 0 ? { ...file.headers, Range: `bytes=${start}-` } : file.headers;
  const response = await fetch(file.url, { headers, signal: file.signal ?? null }).catch((cause: unknown) => {
    file.signal?.throwIfAborted();
    throw unreachable(file.url, cause);
  });
  if (response.status !== 200 && response.status !== 206) {
    await response.body?.cancel();
    throw refused(file.url, response.status);
  }
  const range = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "");
  if (response.status === 206 && Number(range?.[1] ?? start) !== start) {
    throw new RunError("HUB_REFUSED", { expected: `bytes from ${start}`, got: `from ${range![1]}`, where: file.url });
  }
  return response;
}

async function* chunksOf(response: Response, url: string): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      const fix = "run it again: it goes on from there";
      throw new RunError("HUB_CUT_OFF", {
        expected: "the whole file",
        got: "a broken connection",
        where: url,
        fix,
        cause,
      });
    });
    if (done) return;
    yield value;
  }
}

/** What a status other than success means to a person. */
export function refused(url: string, status: number): InputError | RunError {
  const where = url;
  if (status === 401 || status === 403) {
    const fix =
      "set HF_TOKEN to a token that may read it, and accept the model's terms on its page where it asks for that";
    return new InputError("HUB_REFUSED", { expected: "a model that may be read", got: `status ${status}`, where, fix });
  }
  if (status === 404) {
    const fix = "check owner, name and revision; private models need HF_TOKEN";
    return new InputError("HUB_REFUSED", { expected: "a model of that name", got: "nothing there (404)", where, fix });
  }
  return new RunError("HUB_REFUSED", { expected: "an answer", got: `status ${status}`, where, fix: "try again later" });
}

export function unreachable(where: string, cause: unknown): RunError {
  const fix = "check the network, or HF_ENDPOINT where you use a mirror; with --offline a model pulled before is used";
  return new RunError("HUB_UNREACHABLE", { expected: "the hub's answer", got: "no connection", where, fix, cause });
}
