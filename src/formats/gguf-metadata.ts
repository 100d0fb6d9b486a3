// The key-value part of a GGUF header (github.com/ggml-org/ggml, docs/gguf.md), read with limits.
import { InputError } from "../errors.ts";
import type { GgufCursor } from "./gguf-cursor.ts";

/** Lists of numbers are typed arrays (flags: 0 and 1 as bytes). */
export type GgufList =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float32Array
  | Float64Array
  | readonly string[];
/** 64-bit integers are numbers where those are exact, else bigints. */
export type GgufValue = number | bigint | boolean | string | GgufList;

/** Metadata by key, with typed access: each accessor throws `GGUF_KEY` where the key is missing or of another type. */
export class GgufMetadata {
  readonly values: ReadonlyMap<string, GgufValue>;
  readonly #name: string;

  constructor(values: ReadonlyMap<string, GgufValue>, name: string) {
    this.values = values;
    this.#name = name;
  }

  number(key: string, fallback?: number): number {
    const value = this.values.get(key) ?? fallback;
    return typeof value === "number" ? value : this.#wrong(key, "a number", value);
  }

  text(key: string, fallback?: string): string {
    const value = this.values.get(key) ?? fallback;
    return typeof value === "string" ? value : this.#wrong(key, "text", value);
  }

  boolean(key: string, fallback?: boolean): boolean {
    const value = this.values.get(key) ?? fallback;
    return typeof value === "boolean" ? value : this.#wrong(key, "true or false", value);
  }

  texts(key: string): readonly string[] {
    const value = this.values.get(key);
    return Array.isArray(value) ? value : this.#wrong(key, "a list of texts", value);
  }

  numbers(key: string): readonly number[] {
    const value = this.values.get(key);
    if (ArrayBuffer.isView(value))
      return Array.from<number | bigint, number>(value as Iterable<number | bigint> & ArrayLike<number>, Number);
    return this.#wrong(key, "a list of numbers", value);
  }

  #wrong(key: string, expected: string, value: GgufValue | undefined): never {
    const got = value === undefined ? "nothing" : typeof value === "object" ? "a list" : `a ${typeof value}`;
    throw new InputError("GGUF_KEY", { expected: `${key}, ${expected}`, got, where: this.#name });
  }
}

const MOST_KEYS = 100_000;
const MOST_ELEMENTS = 2 ** 22;
const MOST_KEY_BYTES = 65_535;
const MOST_STRING_BYTES = 10_000_000;
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

/** By type number: how numbers and flags lie in the file. */
const numeric = [
  Uint8Array, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array, Float32Array, Uint8Array,
  undefined, undefined, BigUint64Array, BigInt64Array, Float64Array,
] as const; // prettier-ignore

/** The bounded number of keys that a header announces. */
export function readKeyCount(cursor: GgufCursor): number {
  cursor.field = "key count";
  return cursor.count(MOST_KEYS, 13);
}

/** Reads `count` pairs; repeated keys and lists of lists (as in llama.cpp) are refused. */
export function readMetadata(cursor: GgufCursor, count: number): Map<string, GgufValue> {
  const values = new Map<string, GgufValue>();
  for (let i = 0; i < count; i++) {
    cursor.field = `key ${i}`;
    const key = cursor.string(MOST_KEY_BYTES);
    cursor.field = `key ${JSON.stringify(key.slice(0, 80))}`;
    if (values.has(key)) throw cursor.invalid("each key once", "it again");
    values.set(key, readValue(cursor));
  }
  return values;
}

function readValue(cursor: GgufCursor): GgufValue {
  const type = cursor.uint32();
  if (type === STRING) return cursor.string(MOST_STRING_BYTES);
  if (type === ARRAY) return readList(cursor, cursor.uint32());
  const value = readNumbers(cursor, type, 1)[0]!;
  if (type === BOOL) return value === 1;
  return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function readList(cursor: GgufCursor, type: number): GgufList {
  if (type !== STRING) return readNumbers(cursor, type, cursor.count(MOST_ELEMENTS, bytesOf(cursor, type)));
  // not preallocated: grows with the strings that are really there
  const strings: string[] = [];
  const count = cursor.count(MOST_ELEMENTS, 8);
  while (strings.length < count) strings.push(cursor.string(MOST_STRING_BYTES));
  return strings;
}

function readNumbers(cursor: GgufCursor, type: number, count: number): Exclude<GgufList, readonly string[]> {
  const bytes = cursor.copy(count * bytesOf(cursor, type));
  const values = new numeric[type]!(bytes);
  if (type === BOOL && (values as Uint8Array).some((flag) => flag > 1))
    throw cursor.invalid("flags of 0 or 1", "others");
  return values;
}

function bytesOf(cursor: GgufCursor, type: number): number {
  const bytes = numeric[type]?.BYTES_PER_ELEMENT;
  if (bytes === undefined) throw cursor.invalid("a value type from 0 to 12 (no list inside a list)", `${type}`);
  return bytes;
}
