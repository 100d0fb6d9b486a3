// Reads safetensors files: a JSON header that says where each tensor lies (github.com/huggingface/safetensors, README).
import { InputError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "./half.ts";
import { parseJson } from "./json.ts";

/** Bytes per element of each dtype that we read; the reference also knows C64 and types of less than 8 bits. */
export const safetensorsBytes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;
export type SafetensorsDType = keyof typeof safetensorsBytes;

export interface SafetensorsInfo {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** from the start of the file */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** An open file: what lies in it, and its tensors on demand. */
export interface SafetensorsFile {
  readonly name: string;
  /** in the order of the bytes */
  readonly tensors: ReadonlyMap<string, SafetensorsInfo>;
  readonly metadata: ReadonlyMap<string, string>;
  /** little-endian bytes in fresh, aligned memory; throws `TENSOR_MISSING` */
  load(name: string): Promise<SafetensorsInfo & { readonly bytes: Uint8Array<ArrayBuffer> }>;
  /** F32, F16 or BF16 as float32; throws `TENSOR_MISSING`, `TENSOR_DTYPE` */
  loadFloat32(name: string): Promise<Float32Array<ArrayBuffer>>;
}

/** The reference's own limit. */
const MOST_HEADER_BYTES = 100_000_000;

/**
 * Reads and checks a header; no tensor is read before it is asked for.
 * As strict as the reference: no gaps, no overlaps, spans equal shape × dtype, nothing behind the last tensor.
 * Stricter: the header starts with `{` as the README asks, keys occur once, no dtypes but those above.
 * Throws `SAFETENSORS_INVALID` or a code of `parseJson`, naming file and tensor.
 */
export async function readSafetensors(source: ByteSource): Promise<SafetensorsFile> {
  const headerBytes = await headerLength(source);
  const text = decodeUtf8(await source.read(8, headerBytes), source.name);
  if (!text.startsWith("{")) throw invalid(source, "a header that starts with {", JSON.stringify(text.slice(0, 8)));
  const header = parseJson(text, `${source.name} header`, { maxDepth: 4, naturalNumbers: true });
  const { __metadata__, ...entries } = header as Record<string, unknown>;
  const tensors = checkTensors(source, entries, 8 + headerBytes);
  const metadata = checkMetadata(source, __metadata__);
  const load = async (name: string): ReturnType<SafetensorsFile["load"]> => {
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
  return {
    name: source.name,
    tensors,
    metadata,
    load,
    loadFloat32: async (name) => toFloat32(source, name, await load(name)),
  };
}

async function headerLength(source: ByteSource): Promise<number> {
  if (source.size < 8) throw invalid(source, "at least 8 bytes", `${source.size}`);
  const length = new DataView((await source.read(0, 8)).buffer).getBigUint64(0, true);
  const most = Math.min(MOST_HEADER_BYTES, source.size - 8);
  if (length > BigInt(most)) throw invalid(source, `a header of at most ${most} bytes`, `${length}`);
  return Number(length);
}

function decodeUtf8(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new InputError("SAFETENSORS_INVALID", {
      expected: "a header in UTF-8",
      got: "other bytes",
      where: name,
      cause,
    });
  }
}

function checkTensors(
  source: ByteSource,
  entries: Record<string, unknown>,
  dataStart: number,
): Map<string, SafetensorsInfo> {
  const infos = Object.entries(entries).map(([name, entry]) => checkEntry(source, name, entry, dataStart));
  infos.sort(([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let end = dataStart;
  for (const [name, info] of infos) {
    if (info.byteOffset !== end) {
      throw invalid(
        source,
        `data from ${end - dataStart}, where the one before ends`,
        `${info.byteOffset - dataStart}`,
        name,
      );
    }
    end += info.byteLength;
  }
  if (end !== source.size) {
    throw invalid(
      source,
      `${end} bytes in all, as the header says`,
      `${source.size}`,
      undefined,
      "fetch the file again",
    );
  }
  return new Map(infos);
}

function checkEntry(source: ByteSource, name: string, entry: unknown, dataStart: number): [string, SafetensorsInfo] {
  const { dtype, shape, data_offsets: offsets } = isObject(entry) ? entry : {};
  if (typeof dtype !== "string" || !Object.hasOwn(safetensorsBytes, dtype)) {
    throw invalid(source, `a dtype among ${Object.keys(safetensorsBytes).join(" ")}`, show(dtype), name);
  }
  if (!isNaturals(shape)) throw invalid(source, "a shape, a list of natural numbers", show(shape), name);
  if (!isNaturals(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw invalid(source, "data_offsets [begin, end]", show(offsets), name);
  }
  const info = {
    dtype: dtype as SafetensorsDType,
    shape,
    byteOffset: dataStart + offsets[0]!,
    byteLength: offsets[1]! - offsets[0]!,
  };
  // a product beyond 2^53 may be rounded, and is then far larger than any span
  const bytes = shape.reduce((product, n) => product * n, 1) * safetensorsBytes[info.dtype];
  if (bytes !== info.byteLength) {
    throw invalid(source, `${bytes} bytes for ${dtype} ${show(shape)}`, `${info.byteLength}`, name);
  }
  return [name, info];
}

function checkMetadata(source: ByteSource, metadata: unknown = {}): Map<string, string> {
  if (!isObject(metadata)) throw invalid(source, "an object as __metadata__", show(metadata));
  const entries = Object.entries(metadata).map(([key, value]): [string, string] => {
    if (typeof value !== "string") throw invalid(source, `text as __metadata__ ${show(key)}`, show(value));
    return [key, value];
  });
  return new Map(entries);
}

function toFloat32(
  source: ByteSource,
  name: string,
  tensor: Awaited<ReturnType<SafetensorsFile["load"]>>,
): Float32Array<ArrayBuffer> {
  const { dtype, bytes } = tensor;
  if (dtype === "F32") return new Float32Array(bytes.buffer);
  if (dtype === "F16") return float16ToFloat32(new Uint16Array(bytes.buffer));
  if (dtype === "BF16") return bfloat16ToFloat32(new Uint16Array(bytes.buffer));
  throw new InputError("TENSOR_DTYPE", { expected: `${name} in F32, F16 or BF16`, got: dtype, where: source.name });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNaturals(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

/** a value as it may stand in a message, however large it is */
function show(value: unknown): string {
  if (Array.isArray(value) && value.length > 16) return `a list of ${value.length}`;
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function invalid(source: ByteSource, expected: string, got: string, tensor?: string, fix?: string): InputError {
  const where = tensor === undefined ? source.name : `${source.name}, tensor ${show(tensor)}`;
  return new InputError("SAFETENSORS_INVALID", { expected, got, where, ...(fix !== undefined && { fix }) });
}
