// Writes and reads the protobuf wire format (protobuf.dev/programming-guides/encoding), as much of it as ONNX needs.
import { BugError, InputError } from "../errors.ts";

/** The wire types that protobuf still uses; groups (3, 4) are long deprecated and refused. */
const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** Byte strings from this size on are kept by reference until `finish`, so that weights are copied once only. */
const KEPT_BY_REFERENCE = 4096;
/** Protobuf's own limit for one message, 2 GiB - 1. */
const MOST_BYTES = 2 ** 31 - 1;
const encoder = new TextEncoder();

/**
 * Builds one protobuf message. Fields are written in the order of the calls; repeated fields are repeated calls.
 * `bytes` are not copied before `finish`: leave them unchanged until then.
 */
export class ProtoWriter {
  #chunks: Uint8Array[] = [];
  #chunksBytes = 0;
  #tail = new Uint8Array(64);
  #tailLength = 0;

  /** int32, int64, uint32, uint64, bool or enum; negative numbers take ten bytes, as protobuf's int64 does */
  varint(field: number, value: number | bigint): this {
    this.#tag(field, VARINT);
    this.#varint(value);
    return this;
  }

  float(field: number, value: number): this {
    this.#tag(field, FIXED32);
    this.#reserve(4);
    new DataView(this.#tail.buffer).setFloat32(this.#tailLength, value, true);
    this.#tailLength += 4;
    return this;
  }

  double(field: number, value: number): this {
    this.#tag(field, FIXED64);
    this.#reserve(8);
    new DataView(this.#tail.buffer).setFloat64(this.#tailLength, value, true);
    this.#tailLength += 8;
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.#tag(field, LENGTH_DELIMITED);
    this.#varint(value.length);
    this.#append(value);
    return this;
  }

  string(field: number, value: string): this {
    return this.bytes(field, encoder.encode(value));
  }

  /** a nested message, written by `build` */
  message(field: number, build: (writer: ProtoWriter) => void): this {
    const child = new ProtoWriter();
    build(child);
    this.#tag(field, LENGTH_DELIMITED);
    this.#varint(child.#length);
    for (const chunk of child.#chunks) this.#append(chunk);
    this.#append(child.#tail.subarray(0, child.#tailLength));
    return this;
  }

  /** a packed repeated integer field; nothing is written for no values */
  packedVarints(field: number, values: Iterable<number | bigint>): this {
    const packed = new ProtoWriter();
    for (const value of values) packed.#varint(value);
    return packed.#length === 0 ? this : this.bytes(field, packed.finish());
  }

  /** a packed repeated float field; nothing is written for no values */
  packedFloats(field: number, values: ArrayLike<number>): this {
    if (values.length === 0) return this;
    const view = new DataView(new ArrayBuffer(4 * values.length));
    for (let i = 0; i < values.length; i++) view.setFloat32(4 * i, values[i]!, true);
    return this.bytes(field, new Uint8Array(view.buffer));
  }

  /** The encoded message in one array. Throws `PROTOBUF_SIZE` beyond protobuf's own 2 GiB limit. */
  finish(): Uint8Array {
    const out = new Uint8Array(checkedSize(this.#length));
    let at = 0;
    for (const chunk of this.#chunks) {
      out.set(chunk, at);
      at += chunk.length;
    }
    out.set(this.#tail.subarray(0, this.#tailLength), at);
    return out;
  }

  get #length(): number {
    return this.#chunksBytes + this.#tailLength;
  }

  #tag(field: number, wireType: number): void {
    if (!Number.isInteger(field) || field < 1 || field > 0x1fffffff) {
      throw new BugError("PROTOBUF_FIELD", { expected: "a field number between 1 and 2^29 - 1", got: String(field) });
    }
    this.#varint(field * 8 + wireType);
  }

  #varint(value: number | bigint): void {
    this.#reserve(10);
    if (typeof value === "bigint" || value < 0) return this.#longVarint(value);
    if (!Number.isSafeInteger(value)) {
      throw new BugError("PROTOBUF_INTEGER", { expected: "a safe integer or a bigint", got: String(value) });
    }
    let rest = value;
    while (rest > 127) {
      this.#tail[this.#tailLength++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#tail[this.#tailLength++] = rest;
  }

  #longVarint(value: number | bigint): void {
    if (typeof value === "number" && !Number.isSafeInteger(value)) {
      throw new BugError("PROTOBUF_INTEGER", { expected: "a safe integer or a bigint", got: String(value) });
    }
    const signed = BigInt(value);
    if (signed < -(1n << 63n) || signed >= 1n << 64n) {
      throw new BugError("PROTOBUF_INTEGER", { expected: "an integer of 64 bits", got: String(value) });
    }
    let rest = BigInt.asUintN(64, signed);
    while (rest > 127n) {
      this.#tail[this.#tailLength++] = Number(rest & 127n) | 128;
      rest >>= 7n;
    }
    this.#tail[this.#tailLength++] = Number(rest);
  }

  #append(value: Uint8Array): void {
    if (value.length < KEPT_BY_REFERENCE) {
      this.#reserve(value.length);
      this.#tail.set(value, this.#tailLength);
      this.#tailLength += value.length;
      return;
    }
    // a copy of the tail, because the tail itself goes on being written
    this.#chunks.push(this.#tail.slice(0, this.#tailLength), value);
    this.#chunksBytes += this.#tailLength + value.length;
    this.#tailLength = 0;
  }

  #reserve(bytes: number): void {
    if (this.#tailLength + bytes <= this.#tail.length) return;
    const grown = new Uint8Array(Math.max(2 * this.#tail.length, this.#tailLength + bytes));
    grown.set(this.#tail.subarray(0, this.#tailLength));
    this.#tail = grown;
  }
}

function checkedSize(bytes: number): number {
  if (bytes <= MOST_BYTES) return bytes;
  throw new BugError("PROTOBUF_SIZE", { expected: `a message of at most ${MOST_BYTES} bytes`, got: `${bytes} bytes` });
}

/** One field of a message: varints and fixed-width fields as unsigned bits, length-delimited ones as a view. */
export interface ProtoField {
  readonly field: number;
  readonly value: bigint | Uint8Array;
}

/**
 * The fields of one message in the order written; nested messages are read by calling this on their bytes.
 * Work and memory are bounded by the number of bytes. Throws `PROTOBUF_INVALID` naming the byte offset.
 */
export function* readProto(bytes: Uint8Array): Generator<ProtoField> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const take = (length: bigint): number => {
    const start = at;
    if (length > BigInt(bytes.length - start)) throw invalid(`${length} bytes`, `${bytes.length - start}`, start);
    at = start + Number(length);
    return start;
  };
  const varint = (): bigint => {
    let value = 0n;
    const start = at;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[take(1n)]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return BigInt.asUintN(64, value);
    }
    throw invalid("a varint of at most 10 bytes", "more", start);
  };
  while (at < bytes.length) {
    const start = at;
    const tag = varint();
    const field = Number(tag >> 3n);
    if (field < 1 || field > 0x1fffffff) throw invalid("a field number between 1 and 2^29 - 1", String(field), start);
    const wireType = Number(tag & 7n);
    if (wireType === VARINT) yield { field, value: varint() };
    else if (wireType === FIXED64) yield { field, value: view.getBigUint64(take(8n), true) };
    else if (wireType === FIXED32) yield { field, value: BigInt(view.getUint32(take(4n), true)) };
    else if (wireType === LENGTH_DELIMITED) yield { field, value: bytes.subarray(take(varint()), at) };
    else throw invalid("wire type 0, 1, 2 or 5", String(wireType), start);
  }
}

function invalid(expected: string, got: string, offset: number): InputError {
  return new InputError("PROTOBUF_INVALID", { expected, got, where: `byte ${offset}` });
}
