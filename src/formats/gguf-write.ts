// Writes GGUF version 3 as a stream (github.com/ggml-org/ggml, docs/gguf.md): header first, then tensor by tensor.
import { BugError } from "../errors.ts";
import type { ByteStream } from "./byte-source.ts";
import { encodeBlocks, type WrittenGgufType } from "./gguf-quantise.ts";
import { blockLayout, typeId } from "./gguf-types.ts";

/** A value with the type that it has in the file; lists hold one type. */
export type GgufField =
  | { readonly type: "uint32" | "int32" | "float32"; readonly value: number | readonly number[] }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string | readonly string[] };

/** The file's numbers of the types that we write. */
const fieldTypes = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8 } as const;
const LIST = 9;
const ALIGNMENT = 32;
const MAGIC = 0x46554747; // "GGUF"

/** One tensor to write; its values are asked for when its turn comes. */
export interface GgufEntry {
  readonly name: string;
  readonly type: WrittenGgufType;
  /** row-major, as PyTorch counts; rows must be whole blocks of `type` */
  readonly shape: readonly number[];
  readonly data: () => Promise<Float32Array>;
}

/** The bytes of a GGUF file for `writeFileAtomic`; throws `GGUF_ENTRY` for rows that are no whole blocks. */
export function encodeGguf(fields: ReadonlyMap<string, GgufField>, entries: readonly GgufEntry[]): ByteStream {
  const header = new LittleEndian();
  header.uint32(MAGIC).uint32(3).uint64(entries.length).uint64(fields.size);
  for (const [key, field] of fields) writeField(header, key, field);
  let offset = 0;
  for (const entry of entries) {
    const { name, shape, type } = entry;
    header.string(name).uint32(shape.length);
    for (const n of shape.toReversed()) header.uint64(n);
    header.uint32(typeId(type)).uint64(offset);
    offset += padded(bytesOf(entry));
  }
  const head = header.finish(padded(header.length));
  return { size: head.length + offset, chunks: encodeChunks(head, entries) };
}

async function* encodeChunks(head: Uint8Array, entries: readonly GgufEntry[]): AsyncGenerator<Uint8Array> {
  yield head;
  for (const entry of entries) {
    const bytes = bytesOf(entry);
    const data = encodeBlocks(entry.type, await entry.data());
    if (data.length !== bytes) throw wrong(entry, `${bytes} bytes`, `${data.length}`);
    yield data;
    yield new Uint8Array(padded(bytes) - bytes);
  }
}

function bytesOf(entry: GgufEntry): number {
  const { blockElements, blockBytes } = blockLayout(entry.type);
  if ((entry.shape.at(-1) ?? 1) % blockElements !== 0) throw wrong(entry, `rows of whole ${blockElements}s`, "others");
  return (entry.shape.reduce((product, n) => product * n, 1) / blockElements) * blockBytes;
}

const padded = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function wrong({ name, type, shape }: GgufEntry, expected: string, got: string): BugError {
  return new BugError("GGUF_ENTRY", { expected, got, where: `tensor ${name}, ${type} [${shape.join(", ")}]` });
}

function writeField(header: LittleEndian, key: string, { type, value }: GgufField): void {
  header.string(key);
  const write = (one: unknown): void => {
    if (type === "string") header.string(one as string);
    else if (type === "float32") header.float32(one as number);
    else if (type === "bool") header.uint8(one === true ? 1 : 0);
    else header.uint32((one as number) >>> 0);
  };
  if (typeof value !== "object") {
    header.uint32(fieldTypes[type]);
    return write(value);
  }
  header.uint32(LIST).uint32(fieldTypes[type]).uint64(value.length);
  for (const one of value) write(one);
}

/** Growing bytes. */
class LittleEndian {
  length = 0;
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer);
  readonly #encoder = new TextEncoder();

  uint8(value: number): this {
    const at = this.#take(1);
    this.#view.setUint8(at, value);
    return this;
  }

  uint32(value: number): this {
    const at = this.#take(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  float32(value: number): this {
    const at = this.#take(4);
    this.#view.setFloat32(at, value, true);
    return this;
  }

  uint64(value: number): this {
    const at = this.#take(8);
    this.#view.setBigUint64(at, BigInt(value), true);
    return this;
  }

  string(text: string): this {
    const bytes = this.#encoder.encode(text);
    this.uint64(bytes.length);
    const at = this.#take(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** all bytes, with zeros behind them up to `size` */
  finish(size: number): Uint8Array {
    const out = new Uint8Array(size);
    out.set(this.#bytes.subarray(0, this.length));
    return out;
  }

  /** Room for so many bytes, and where: asked for before `#view` is, which it may replace. */
  #take(bytes: number): number {
    const at = this.length;
    this.length += bytes;
    if (this.length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(2 * this.#bytes.length, this.length));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}
