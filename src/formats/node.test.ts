// Files: ranges beyond 4 GiB, and writes that leave the old or the new content whatever fails.
import { mkdtemp, open, readdir, readFile, rm, statfs, truncate, writeFile, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openFile, readJsonFile, readTextFile, writeFileAtomic } from "./node.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-formats-"));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

const refused = (code: string): unknown => expect.objectContaining({ code });

describe("openFile", () => {
  it("reads ranges, also beyond 4 GiB", async () => {
    const path = join(folder, "sparse");
    await truncate(path, 0).catch(() => writeFile(path, ""));
    const size = 5 * 2 ** 30;
    const handle = await open(path, "r+");
    await handle.write(Uint8Array.of(1, 2, 3), 0, 3, size - 3);
    await handle.close();
    const file = await openFile(path);
    expect(file.size).toBe(size);
    expect([...(await file.read(size - 4, 4))]).toEqual([0, 1, 2, 3]);
    expect(await file.read(size, 0)).toHaveLength(0);
    await expect(file.read(size - 3, 4)).rejects.toEqual(refused("FILE_TRUNCATED"));
    await expect(file.read(0, 2 ** 60)).rejects.toEqual(refused("FILE_TRUNCATED"));
    await truncate(path, 10);
    await expect(file.read(8, 4)).rejects.toEqual(refused("FILE_TRUNCATED"));
    await file.close();
  });

  it("refuses what is not a regular file, without blocking", async () => {
    await expect(openFile(join(folder, "none"))).rejects.toEqual(refused("FILE_MISSING"));
    for (const path of [folder, "/dev/zero"]) {
      await expect(openFile(path)).rejects.toEqual(refused("FILE_UNREADABLE"));
    }
  });
});

describe("readJsonFile", () => {
  const read = async (content: string | Uint8Array, maxBytes?: number): Promise<unknown> => {
    const path = join(folder, "f.json");
    await writeFile(path, content);
    return readJsonFile(path, maxBytes === undefined ? {} : { maxBytes });
  };

  it("parses, and names file, line and column", async () => {
    expect(await read('\ufeff{"a": "ü"}')).toEqual({ a: "ü" });
    const where = `${join(folder, "f.json")}:2:4`;
    await expect(read('{\n"a"')).rejects.toMatchObject({ code: "JSON_INVALID", details: { where } });
    await expect(read("")).rejects.toEqual(refused("JSON_INVALID"));
    await expect(read("[1, 2]", 5)).rejects.toEqual(refused("FILE_TOO_LARGE"));
    const latin1 = Buffer.from('{\n"a": "gr\xfc\xdfe"}', "latin1");
    await expect(read(latin1)).rejects.toMatchObject({
      code: "TEXT_INVALID",
      details: { where: `${join(folder, "f.json")}:2` },
    });
    expect(await readTextFile(join(folder, "f.json")).catch(String)).toContain("UTF-8");
  });
});

describe("writeFileAtomic", () => {
  const target = (): string => join(folder, "model.bin");
  const names = (): Promise<string[]> => readdir(folder);

  /** replaces one method of every file handle */
  async function breakHandles(method: "write" | "sync", code: string, after = 0): Promise<void> {
    const handle = await open(folder, "r");
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const original = prototype[method] as (...args: unknown[]) => Promise<never>;
    let calls = 0;
    vi.spyOn(prototype, method).mockImplementation(function (this: FileHandle, ...args: unknown[]): Promise<never> {
      return calls++ < after ? original.apply(this, args) : Promise.reject(Object.assign(new Error(code), { code }));
    });
  }

  async function* chunks(count: number, during: () => Promise<void> = async () => {}): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < count; i++) {
      await during();
      yield new Uint8Array(1000).fill(i);
    }
  }

  it("writes text, bytes and streams, and replaces what was there", async () => {
    await writeFileAtomic(target(), "grüße");
    expect(await readFile(target(), "utf8")).toBe("grüße");
    await writeFileAtomic(target(), Uint8Array.of(1, 2));
    expect([...(await readFile(target()))]).toEqual([1, 2]);
    const seen: string[] = [];
    const look = async (): Promise<void> => void seen.push((await readFile(target())).toString("hex"));
    await writeFileAtomic(target(), chunks(3, look));
    expect(seen).toEqual(["0102", "0102", "0102"]);
    expect((await readFile(target())).length).toBe(3000);
    await writeFileAtomic(target(), { size: 2000, chunks: chunks(2) });
    expect((await readFile(target())).length).toBe(2000);
    expect(await names()).toEqual(["model.bin"]);
  });

  it("flushes the file before the rename and the folder after it", async () => {
    const handle = await open(folder, "r");
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const seen: (readonly [boolean, string[]])[] = [];
    const sync = prototype.sync;
    vi.spyOn(prototype, "sync").mockImplementation(async function (this: FileHandle) {
      seen.push([(await this.stat()).isFile(), await names()]);
      await sync.call(this);
    });
    await writeFileAtomic(target(), "a");
    expect(seen).toEqual([
      [true, [expect.stringMatching(/^model\.bin\.llava-\d+-\d+\.tmp$/)]],
      [false, ["model.bin"]],
    ]);
  });

  it.each([
    ["write", "ENOSPC", 1, "DISK_FULL", 1],
    ["write", "EDQUOT", 0, "DISK_FULL", 1],
    ["sync", "ENOSPC", 0, "DISK_FULL", 1],
    ["sync", "EIO", 0, "FILE_WRITE_FAILED", 1],
    ["write", "EIO", 2, "FILE_WRITE_FAILED", 1],
  ] as const)("leaves the old content when %s fails with %s after %d", async (method, errno, after, code, exitCode) => {
    await writeFile(target(), "old");
    await breakHandles(method, errno, after);
    const failure = writeFileAtomic(target(), { size: 5000, chunks: chunks(5) });
    await expect(failure).rejects.toMatchObject({ code, exitCode, details: { where: target() } });
    vi.restoreAllMocks();
    expect(await readFile(target(), "utf8")).toBe("old");
    expect(await names()).toEqual(["model.bin"]);
  });

  it("says beforehand how many bytes are missing", async () => {
    const { bavail, bsize } = await statfs(folder);
    const size = bavail * bsize * 2 + 1;
    const untouched = vi.fn(chunks);
    await expect(writeFileAtomic(target(), { size, chunks: untouched(1) })).rejects.toMatchObject({
      code: "DISK_FULL",
      details: { expected: `room for ${size} bytes`, got: expect.stringMatching(/^\d+ bytes free$/) },
    });
    expect(await names()).toEqual([]);
  });

  it("passes on what the stream throws, and refuses a stream of another size", async () => {
    await writeFile(target(), "old");
    const failing = chunks(3, async () => {
      throw new RangeError("source");
    });
    await expect(writeFileAtomic(target(), failing)).rejects.toThrow(RangeError);
    await expect(writeFileAtomic(target(), { size: 999, chunks: chunks(1) })).rejects.toEqual(refused("STREAM_SIZE"));
    await expect(writeFileAtomic(join(folder, "none", "x"), "a")).rejects.toEqual(refused("FILE_NOT_WRITABLE"));
    await expect(writeFileAtomic(folder, "a")).rejects.toEqual(refused("FILE_NOT_WRITABLE"));
    await expect(writeFileAtomic(join(target(), "x"), "a")).rejects.toEqual(refused("FILE_NOT_WRITABLE"));
    expect(await readFile(target(), "utf8")).toBe("old");
    expect(await names()).toEqual(["model.bin"]);
  });

  it("clears what killed writers left, and nothing else", async () => {
    const dead = 2 ** 22 + 1; // above Linux's largest process id
    const alive = `model.bin.llava-${process.pid}-9999.tmp`;
    const kept = [alive, `model.bin.${dead}-0.tmp`, "model.bin.tmp", `model.bin.llava-${dead}-0.tmp.txt`];
    const abandoned = [`model.bin.llava-${dead}-0.tmp`, `other.bin.llava-${dead}-12.tmp`];
    for (const name of [...kept, ...abandoned]) await writeFile(join(folder, name), "");
    await writeFileAtomic(target(), "new");
    expect((await names()).toSorted()).toEqual([...kept, "model.bin"].toSorted());
  });

  it("lets several writers of one file finish, the last one winning", async () => {
    await Promise.all(Array.from({ length: 8 }, (_, i) => writeFileAtomic(target(), String(i).repeat(1000))));
    expect(new Set(await readFile(target(), "utf8")).size).toBe(1);
    expect(await names()).toEqual(["model.bin"]);
  });
});
