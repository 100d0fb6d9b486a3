// Finds the files of a ZIP archive (PKWARE APPNOTE 6.3.10) that holds them as they are, as PyTorch writes it; with ZIP64.
import { InputError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";

/** Where a file's bytes lie in the archive. */
export interface ZipEntry {
  readonly byteOffset: number;
  readonly byteLength: number;
}

const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const FULL32 = 0xffffffff;
const FULL16 = 0xffff;
const END_BYTES = 22;
const LOCATOR_BYTES = 20;
const MOST_DIRECTORY = 2 ** 26;

/** Files by name. Throws `ZIP_INVALID` for what is no such archive, for compressed, encrypted or repeated files. */
export async function readZip(source: ByteSource): Promise<Map<string, ZipEntry>> {
  const { count, size, offset } = await findDirectory(source);
  if (size > MOST_DIRECTORY) fail(source, `a directory of at most ${MOST_DIRECTORY} bytes`, String(size));
  const bytes = await source.read(offset, size);
  const view = new DataView(bytes.buffer);
  const entries = new Map<string, ZipEntry>();
  for (let i = 0, at = 0; i < count; i++) {
    if (at + 46 > size || view.getUint32(at, true) !== CENTRAL)
      fail(source, "a directory entry", `other bytes at ${at}`);
    const [nameBytes, extraBytes, noteBytes] = [28, 30, 32].map((p) => view.getUint16(at + p, true));
    const end = at + 46 + nameBytes! + extraBytes! + noteBytes!;
    if (end > size) fail(source, "whole directory entries", "the directory's end");
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameBytes!));
    const stored = view.getUint16(at + 10, true) === 0 && (view.getUint16(at + 8, true) & 1) === 0;
    if (!stored) fail(source, "files stored as they are", `${JSON.stringify(name)} compressed or encrypted`);
    if (entries.has(name)) fail(source, "each file once", `${JSON.stringify(name)} again`);
    entries.set(name, await locate(source, readSizes(view, at, nameBytes!, extraBytes!), name));
    at = end;
  }
  return entries;
}

interface Directory {
  readonly count: number;
  readonly size: number;
  readonly offset: number;
}

/** The end record is the last one, behind it only a comment. */
async function findDirectory(source: ByteSource): Promise<Directory> {
  const length = Math.min(source.size, END_BYTES + FULL16 + LOCATOR_BYTES);
  const start = source.size - length;
  const view = new DataView((await source.read(start, length)).buffer);
  let at = length - END_BYTES;
  while (at >= 0 && view.getUint32(at, true) !== END) at--;
  if (at < 0) fail(source, "a ZIP archive", "no end record");
  const record = {
    count: view.getUint16(at + 10, true),
    size: view.getUint32(at + 12, true),
    offset: view.getUint32(at + 16, true),
  };
  const small = record.count !== FULL16 && record.size !== FULL32 && record.offset !== FULL32;
  const locator = at - LOCATOR_BYTES;
  if (small || locator < 0 || view.getUint32(locator, true) !== LOCATOR64) return record;
  const end64 = new DataView((await source.read(long(view, locator + 8), 56)).buffer);
  if (end64.getUint32(0, true) !== END64) fail(source, "a ZIP64 end record", "other bytes");
  return { count: long(end64, 32), size: long(end64, 40), offset: long(end64, 48) };
}

interface Sizes {
  readonly length: number;
  readonly header: number;
}

/** Sizes that do not fit 32 bits stand in the extra field 1, in this order. */
function readSizes(view: DataView, at: number, nameBytes: number, extraBytes: number): Sizes {
  let [packed, length, header] = [20, 24, 42].map((p) => view.getUint32(at + p, true)) as [number, number, number];
  const end = at + 46 + nameBytes + extraBytes;
  for (let p = at + 46 + nameBytes; p + 4 <= end; p += 4 + view.getUint16(p + 2, true)) {
    if (view.getUint16(p, true) !== 1) continue;
    let q = p + 4;
    const next = (): number => (q + 8 <= end ? long(view, (q += 8) - 8) : 0);
    if (length === FULL32) length = next();
    if (packed === FULL32) packed = next();
    if (header === FULL32) header = next();
  }
  return { length, header };
}

/** A file's bytes follow its own header, whose name and extra field may be of other lengths. */
async function locate(source: ByteSource, { length, header }: Sizes, name: string): Promise<ZipEntry> {
  const view = new DataView((await source.read(header, 30)).buffer);
  if (view.getUint32(0, true) !== LOCAL) fail(source, `the header of ${JSON.stringify(name)}`, "other bytes");
  const byteOffset = header + 30 + view.getUint16(26, true) + view.getUint16(28, true);
  if (byteOffset + length > source.size) fail(source, `${length} bytes of ${JSON.stringify(name)}`, "the file's end");
  return { byteOffset, byteLength: length };
}

const long = (view: DataView, at: number): number => Number(view.getBigUint64(at, true));

function fail(source: ByteSource, expected: string, got: string): never {
  throw new InputError("ZIP_INVALID", { expected, got, where: source.name, fix: "fetch the file again" });
}
