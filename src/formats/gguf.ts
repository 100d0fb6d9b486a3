// Reads GGUF files, versions 2 and 3 (github.com/ggml-org/ggml, docs/gguf.md): metadata at once, tensors on demand.
import { InputError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { GgufCursor, PrefixTooShort } from "./gguf-cursor.ts";
import { dequantise } from "./gguf-dequantise.ts";
import { GgufMetadata, readKeyCount, readMetadata } from "./gguf-metadata.ts";
import { layoutById, type GgufType } from "./gguf-types.ts";

export interface GgufInfo {
  readonly type: GgufType;
  /** row-major, as PyTorch counts: [out, in] for a linear layer (the file itself lists the fastest dimension first) */
  readonly shape: readonly number[];
  /** from the start of the file */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** An open file: what lies in it, and its tensors on demand. */
export interface GgufFile {
  readonly name: string;
  readonly version: number;
  readonly metadata: GgufMetadata;
  /** in the order of the header */
  readonly tensors: ReadonlyMap<string, GgufInfo>;
  /** the blocks as they lie in the file, in fresh memory; throws `TENSOR_MISSING` */
  load(name: string): Promise<GgufInfo & { readonly bytes: Uint8Array<ArrayBuffer> }>;
  /** dequantised; throws `TENSOR_MISSING`, `GGUF_UNSUPPORTED` */
  loadFloat32(name: string): Promise<Float32Array<ArrayBuffer>>;
}

type Header = Pick<GgufFile, "version" | "tensors" | "metadata">;

const MAGIC = 0x46554747; // "GGUF"
const MOST_HEADER_BYTES = 2 ** 26;
const MOST_TENSORS = 100_000;
const MOST_NAME_BYTES = 65_535;
const MOST_DIMENSIONS = 4;
/** no tensor of a known model comes near; one typed array could not hold more */
const MOST_ELEMENTS = 2 ** 30;

/**
 * Reads and checks a header; no tensor is read before it is asked for.
 * Throws `GGUF_INVALID` naming file, field and byte: wrong magic or version, counts and lengths beyond the file or
 * our limits, repeated names, tensors that are misaligned, overlap or pass the end.
 */
export async function readGguf(source: ByteSource): Promise<GgufFile> {
  const { version, metadata, tensors } = await readHeader(source);
  const load = async (name: string): ReturnType<GgufFile["load"]> => {
    const info = tensors.get(name);
    if (info === undefined) {
      throw new InputError("TENSOR_MISSING", {
        expected: `tensor ${name}`,
        got: `${tensors.size} others`,
        where: source.name,
      });
    }
    return { ...info, bytes: await source.read(info.byteOffset, info.byteLength) };
  };
  const loadFloat32 = async (name: string): Promise<Float32Array<ArrayBuffer>> => {
    const { type, bytes } = await load(name);
    return dequantise(type, bytes, `${source.name}, tensor ${name}`);
  };
  return { name: source.name, version, metadata, tensors, load, loadFloat32 };
}

/** The header's length is not written anywhere, so ever larger prefixes are tried. */
async function readHeader(source: ByteSource): Promise<Header> {
  const most = Math.min(source.size, MOST_HEADER_BYTES);
  for (let prefix = Math.min(most, 2 ** 22); ; prefix = Math.min(most, 4 * prefix)) {
    const bytes = await source.read(0, prefix);
    try {
      return parseHeader(bytes, source);
    } catch (error) {
      if (!(error instanceof PrefixTooShort)) throw error;
      if (prefix < most) continue;
      throw new InputError("GGUF_INVALID", {
        expected: `a header of at most ${most} bytes`,
        got: "more",
        where: source.name,
      });
    }
  }
}

function parseHeader(bytes: Uint8Array, source: ByteSource): Header {
  const cursor = new GgufCursor(bytes, source.name, source.size);
  cursor.field = "magic";
  if (cursor.uint32() !== MAGIC) throw cursor.invalid('"GGUF"', "other bytes: this is not a GGUF file");
  cursor.field = "version";
  const version = cursor.uint32();
  const bigEndian = version > 0xffff && version % 0x10000 === 0;
  if (version !== 2 && version !== 3) {
    throw cursor.invalid("version 2 or 3", bigEndian ? "a big-endian file" : `${version}`);
  }
  cursor.field = "tensor count";
  const tensorCount = cursor.count(MOST_TENSORS, 24);
  const metadata = new GgufMetadata(readMetadata(cursor, readKeyCount(cursor)), source.name);
  const alignment = metadata.number("general.alignment", 32);
  if (!Number.isInteger(alignment) || alignment < 1 || alignment > 2 ** 30 || (alignment & (alignment - 1)) !== 0) {
    throw cursor.invalid("an alignment that is a power of two", `${alignment}`);
  }
  return { version, metadata, tensors: readTensors(cursor, tensorCount, alignment, source.size) };
}

function readTensors(cursor: GgufCursor, count: number, alignment: number, fileSize: number): Map<string, GgufInfo> {
  const infos = new Map<string, GgufInfo>();
  for (let i = 0; i < count; i++) {
    cursor.field = `tensor ${i}`;
    const name = cursor.string(MOST_NAME_BYTES);
    cursor.field = quoted(name);
    if (infos.has(name)) throw cursor.invalid("each tensor once", "it again");
    infos.set(name, readInfo(cursor, alignment, fileSize));
  }
  const dataStart = Math.ceil(cursor.offset / alignment) * alignment;
  const placed = new Map(
    [...infos].map(([name, info]) => [name, { ...info, byteOffset: dataStart + info.byteOffset }]),
  );
  checkSpans(cursor, placed, fileSize);
  return placed;
}

/** one tensor's row; `byteOffset` still counts from the start of the data */
function readInfo(cursor: GgufCursor, alignment: number, fileSize: number): GgufInfo {
  const dimensions = cursor.uint32();
  if (dimensions > MOST_DIMENSIONS) throw cursor.invalid(`at most ${MOST_DIMENSIONS} dimensions`, `${dimensions}`);
  const sizes = Array.from({ length: dimensions }, () => cursor.uint64());
  const elements = sizes.reduce((product, n) => product * n, 1n);
  if (sizes.some((n) => n > MOST_ELEMENTS) || elements > MOST_ELEMENTS) {
    throw cursor.invalid(`at most ${MOST_ELEMENTS} elements`, `[${sizes.toReversed().join(", ")}]`);
  }
  const id = cursor.uint32();
  const layout = layoutById(id);
  if (layout === undefined) throw cursor.invalid("a tensor type that is in use", `${id}`);
  const { type, blockElements, blockBytes } = layout;
  const shape = sizes.map(Number).toReversed();
  if ((shape.at(-1) ?? 1) % blockElements !== 0) {
    throw cursor.invalid(`rows of whole blocks of ${blockElements} (${type})`, `rows of ${shape.at(-1)}`);
  }
  const offset = cursor.uint64();
  if (offset >= BigInt(fileSize) || offset % BigInt(alignment) !== 0n) {
    throw cursor.invalid(`an offset inside the file, a multiple of ${alignment}`, `${offset}`);
  }
  return { type, shape, byteOffset: Number(offset), byteLength: (Number(elements) / blockElements) * blockBytes };
}

function checkSpans(cursor: GgufCursor, infos: ReadonlyMap<string, GgufInfo>, fileSize: number): void {
  let end = 0;
  const ordered = [...infos].toSorted(([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  for (const [name, { byteOffset, byteLength }] of ordered) {
    cursor.field = quoted(name);
    if (byteOffset < end)
      throw cursor.invalid(`data from byte ${end}, where another tensor ends`, `byte ${byteOffset}`);
    end = byteOffset + byteLength;
    if (end > fileSize)
      throw cursor.invalid(`data up to byte ${end}`, `${fileSize} bytes in all; the file was cut off`);
  }
}

function quoted(name: string): string {
  return `tensor ${JSON.stringify(name.slice(0, 80))}`;
}
