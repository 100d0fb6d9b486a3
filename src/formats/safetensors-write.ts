// Writes safetensors as a stream of chunks: header first, then tensor by tensor, so that no model is held twice.
import { BugError } from "../errors.ts";
import type { ByteStream } from "./byte-source.ts";
import { float32ToBfloat16, float32ToFloat16 } from "./half.ts";
import { safetensorsBytes, type SafetensorsDType } from "./safetensors.ts";

type Bits =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float64Array;

/** One tensor to write. `data` may be a function, called when its turn comes. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** float32 values are rounded to `dtype` (F32, F16 or BF16); other arrays hold the bits of `dtype` already */
  readonly data: Float32Array | Bits | (() => Float32Array | Bits | Promise<Float32Array | Bits>);
}

/** Elements converted at a time: 4 MiB of float32. */
const SLICE = 2 ** 20;

/**
 * The bytes of a safetensors file for `writeFileAtomic`. Tensors keep their order within one element size; wider
 * elements come first, as the reference writes them, so that all are aligned.
 * Throws `SAFETENSORS_ENTRY` for repeated names, or data that disagree with dtype and shape.
 */
export function encodeSafetensors(
  entries: readonly SafetensorsEntry[],
  metadata: Readonly<Record<string, string>> = {},
): ByteStream {
  const ordered = entries.toSorted((a, b) => safetensorsBytes[b.dtype] - safetensorsBytes[a.dtype]);
  const header = encodeHeader(ordered, metadata);
  const size = ordered.reduce((sum, entry) => sum + byteLengthOf(entry), header.length);
  return { size, chunks: encodeChunks(header, ordered) };
}

function encodeHeader(entries: readonly SafetensorsEntry[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const infos = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) infos.set("__metadata__", metadata);
  let offset = 0;
  for (const entry of entries) {
    const { name, dtype, shape } = entry;
    if (infos.has(name) || name === "__metadata__") throw wrong(entry, "a name of its own", "one that is taken");
    const end = offset + byteLengthOf(entry);
    infos.set(name, { dtype, shape, data_offsets: [offset, end] });
    offset = end;
  }
  // written pair by pair: in an object, names such as "0" would move to the front
  const pairs = [...infos].map(([name, info]) => `${JSON.stringify(name)}:${JSON.stringify(info)}`);
  const json = new TextEncoder().encode(`{${pairs.join(",")}}`);
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  return header;
}

async function* encodeChunks(header: Uint8Array, entries: readonly SafetensorsEntry[]): AsyncGenerator<Uint8Array> {
  yield header;
  for (const entry of entries) {
    const data = typeof entry.data === "function" ? await entry.data() : entry.data;
    if (data instanceof Float32Array) yield* encodeFloats(entry, data);
    else {
      checkLength(entry, data.byteLength);
      yield bytesOf(data);
    }
  }
}

function* encodeFloats(entry: SafetensorsEntry, values: Float32Array): Generator<Uint8Array> {
  const { dtype } = entry;
  if (dtype !== "F32" && dtype !== "F16" && dtype !== "BF16") throw wrong(entry, `${dtype} bits`, "float32 values");
  checkLength(entry, values.length * safetensorsBytes[dtype]);
  if (dtype === "F32") {
    yield bytesOf(values);
    return;
  }
  const convert = dtype === "F16" ? float32ToFloat16 : float32ToBfloat16;
  for (let i = 0; i < values.length; i += SLICE) yield bytesOf(convert(values.subarray(i, i + SLICE)));
}

function byteLengthOf({ dtype, shape }: SafetensorsEntry): number {
  return shape.reduce((product, n) => product * n, 1) * safetensorsBytes[dtype];
}

function checkLength(entry: SafetensorsEntry, bytes: number): void {
  if (bytes !== byteLengthOf(entry)) throw wrong(entry, `${byteLengthOf(entry)} bytes`, `${bytes}`);
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function wrong({ name, dtype, shape }: SafetensorsEntry, expected: string, got: string): BugError {
  return new BugError("SAFETENSORS_ENTRY", { expected, got, where: `tensor ${name}, ${dtype} [${shape.join(", ")}]` });
}
