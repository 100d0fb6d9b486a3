// A small typed assembler for WebAssembly: expressions and statements in TypeScript become the bytes of a module.
// Opcodes: WebAssembly Core Specification 2.0, section 5.4 (with the vector instructions of 5.4.9).

export type ValueType = "i32" | "f32" | "f64" | "v128";
const typeCodes: Readonly<Record<ValueType, number>> = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b };

/** Code that leaves one value of type T. */
export interface Expression<T extends ValueType> {
  readonly type: T;
  readonly code: readonly number[];
}
/** Reads a local variable; `set` writes it. */
export interface Local<T extends ValueType> extends Expression<T> {
  readonly index: number;
}
/** Code that leaves nothing. */
export type Statement = readonly number[];

type Parameters = Readonly<Record<string, ValueType>>;
type LocalsOf<P extends Parameters> = { readonly [K in keyof P]: Local<P[K]> };

/** What a function's body is written with: its parameters, and further locals on demand (they start as zero). */
export interface Frame<P extends Parameters> {
  readonly parameters: LocalsOf<P>;
  readonly local: <T extends ValueType>(type: T) => Local<T>;
}

/** One exported function. `result` is the expression it returns, if any. */
export interface FunctionSource {
  readonly name: string;
  readonly parameters: readonly ValueType[];
  readonly locals: readonly ValueType[];
  readonly body: readonly Statement[];
  readonly result: Expression<ValueType> | undefined;
}

/** Declares a function; `write` gets its frame and returns the body. */
export function defineFunction<const P extends Parameters>(
  name: string,
  parameters: P,
  write: (frame: Frame<P>) => { readonly body: readonly Statement[]; readonly result?: Expression<ValueType> },
): FunctionSource {
  const types: ValueType[] = [];
  const local = <T extends ValueType>(type: T): Local<T> => {
    const index = types.push(type) - 1;
    return { type, index, code: [0x20, ...unsigned(index)] };
  };
  const entries = Object.entries(parameters).map(([key, type]) => [key, local(type)] as const);
  const count = types.length;
  const { body, result } = write({ parameters: Object.fromEntries(entries) as unknown as LocalsOf<P>, local });
  return { name, parameters: types.slice(0, count), locals: types.slice(count), body, result };
}

/** local ← value */
export function set<T extends ValueType>(target: Local<T>, value: Expression<T>): Statement {
  return [...value.code, 0x21, ...unsigned(target.index)];
}

/** Runs `body`, and again for as long as `condition` holds afterwards. */
export function repeatWhile(condition: Expression<"i32">, body: readonly Statement[]): Statement {
  return [0x03, 0x40, ...body.flat(), ...condition.code, 0x0d, 0x00, 0x0b];
}

type Binary<T extends ValueType> = (a: Expression<T>, b: Expression<T>) => Expression<T>;
const binary =
  <T extends ValueType>(type: T, opcode: readonly number[]): Binary<T> =>
  (a, b) => ({ type, code: [...a.code, ...b.code, ...opcode] });
const unary =
  <T extends ValueType, U extends ValueType>(type: U, opcode: readonly number[]) =>
  (x: Expression<T>): Expression<U> => ({ type, code: [...x.code, ...opcode] });
const vector = (opcode: number): readonly number[] => [0xfd, ...unsigned(opcode)];
const shift =
  (opcode: number) =>
  (x: Expression<"v128">, bits: number): Expression<"v128"> => ({
    type: "v128",
    code: [...x.code, 0x41, ...signed(bits), ...vector(opcode)],
  });

/** Lanes of half the width, saturated; the upper half repeats the lower. */
const narrow = (x: Expression<"v128">, opcode: number): Expression<"v128"> => binary("v128", vector(opcode))(x, x);

/** Addresses and counters; comparison is unsigned. */
export const i32 = {
  constant: (x: number): Expression<"i32"> => ({ type: "i32", code: [0x41, ...signed(x)] }),
  add: binary("i32", [0x6a]),
  less: binary("i32", [0x49]),
};

export const f32 = {
  constant: (x: number): Expression<"f32"> => ({
    type: "f32",
    code: [0x43, ...new Uint8Array(Float32Array.of(x).buffer)],
  }),
  load: (address: Expression<"i32">, offset = 0): Expression<"f32"> => ({
    type: "f32",
    code: [...address.code, 0x2a, 0, ...unsigned(offset)],
  }),
  store: (address: Expression<"i32">, x: Expression<"f32">, offset = 0): Statement => [
    ...address.code,
    ...x.code,
    ...[0x38, 0, ...unsigned(offset)],
  ],
  divide: binary("f32", [0x95]),
  max: binary("f32", [0x97]),
};

export const f64 = { add: binary("f64", [0xa0]) };

/** Four float32 lanes; loads and stores take any address. */
export const f32x4 = {
  load: (address: Expression<"i32">, offset = 0): Expression<"v128"> => ({
    type: "v128",
    code: [...address.code, ...vector(0), 0, ...unsigned(offset)],
  }),
  store: (address: Expression<"i32">, x: Expression<"v128">, offset = 0): Statement => [
    ...address.code,
    ...x.code,
    ...vector(11),
    0,
    ...unsigned(offset),
  ],
  splat: unary<"f32", "v128">("v128", vector(0x13)),
  lane: (x: Expression<"v128">, lane: 0 | 1 | 2 | 3): Expression<"f32"> => ({
    type: "f32",
    code: [...x.code, ...vector(0x1f), lane],
  }),
  abs: unary<"v128", "v128">("v128", vector(0xe0)),
  sqrt: unary<"v128", "v128">("v128", vector(0xe3)),
  add: binary("v128", vector(0xe4)),
  subtract: binary("v128", vector(0xe5)),
  multiply: binary("v128", vector(0xe6)),
  divide: binary("v128", vector(0xe7)),
  /** a < b ? b : a, which costs one instruction where the rules for NaN cost many */
  max: binary("v128", vector(0xeb)),
};

/** Sixteen bytes. */
export const u8x16 = { max: binary("v128", vector(121)) };

/** Four int32 lanes. Those of float32 lanes are their bits. */
export const i32x4 = {
  /** four bytes as numbers of 0..255 */
  loadBytes: (address: Expression<"i32">): Expression<"v128"> => ({
    type: "v128",
    code: [...address.code, ...vector(92), 0, 0, ...vector(137), ...vector(169)],
  }),
  /** lanes as four bytes, saturated to 0..255 */
  storeBytes: (address: Expression<"i32">, x: Expression<"v128">): Statement => [
    ...address.code,
    // narrowed twice, each time with itself as the upper half, of which nothing is stored
    ...narrow(narrow(x, 134), 102).code,
    ...[...vector(90), 0, 0, 0],
  ],
  constants: (lanes: readonly [number, number, number, number]): Expression<"v128"> => ({
    type: "v128",
    code: [...vector(12), ...new Uint8Array(Int32Array.from(lanes).buffer)],
  }),
  splat: unary<"i32", "v128">("v128", vector(17)),
  shiftLeft: shift(171),
  /** zeros come in from the left */
  shiftRight: shift(173),
  and: binary("v128", vector(78)),
  or: binary("v128", vector(80)),
  xor: binary("v128", vector(81)),
  add: binary("v128", vector(174)),
  subtract: binary("v128", vector(177)),
  multiply: binary("v128", vector(181)),
  min: binary("v128", vector(182)),
  max: binary("v128", vector(184)),
  /** all bits of a lane where it holds, signed */
  greater: binary("v128", vector(59)),
};

/** Two float64 lanes. */
export const f64x2 = {
  add: binary("v128", vector(0xf0)),
  multiply: binary("v128", vector(0xf2)),
  /** the first two float32 lanes as float64 */
  promoteLow: unary<"v128", "v128">("v128", vector(0x5f)),
  /** the last two float32 lanes as float64 */
  promoteHigh: (x: Expression<"v128">): Expression<"v128"> => {
    const upperHalf = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];
    return { type: "v128", code: [...x.code, ...x.code, ...vector(0x0d), ...upperHalf, ...vector(0x5f)] };
  },
  lane: (x: Expression<"v128">, lane: 0 | 1): Expression<"f64"> => ({
    type: "f64",
    code: [...x.code, ...vector(0x21), lane],
  }),
};

/** "\0asm", version 1 */
const header = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

/** The module's bytes: it imports `env.memory` and exports every function by its name. */
export function assemble(functions: readonly FunctionSource[]): Uint8Array<ArrayBuffer> {
  const types = functions.map(({ parameters, result }) => [
    0x60,
    ...list(parameters.map((type) => [typeCodes[type]])),
    ...list(result === undefined ? [] : [[typeCodes[result.type]]]),
  ]);
  const memoryImport = [...text("env"), ...text("memory"), 0x02, 0x00, 0x00];
  const exports = functions.map(({ name }, i) => [...text(name), 0x00, ...unsigned(i)]);
  return Uint8Array.from([
    ...header,
    ...section(1, list(types)),
    ...section(2, list([memoryImport])),
    ...section(3, list(functions.map((_, i) => unsigned(i)))),
    ...section(7, list(exports)),
    ...section(10, list(functions.map(codeOf))),
  ]);
}

function codeOf({ locals, body, result }: FunctionSource): readonly number[] {
  const declared = list(locals.map((type) => [0x01, typeCodes[type]]));
  const code = [...declared, ...body.flat(), ...(result?.code ?? []), 0x0b];
  return [...unsigned(code.length), ...code];
}

const section = (id: number, content: readonly number[]): number[] => [id, ...unsigned(content.length), ...content];
const list = (items: readonly (readonly number[])[]): number[] => [...unsigned(items.length), ...items.flat()];
const text = (name: string): number[] => list([...new TextEncoder().encode(name)].map((byte) => [byte]));

/** LEB128, unsigned. */
function unsigned(x: number): number[] {
  return x < 0x80 ? [x] : [(x & 0x7f) | 0x80, ...unsigned(x >>> 7)];
}

/** LEB128, signed. */
function signed(x: number): number[] {
  const done = x >= -64 && x < 64;
  return done ? [x & 0x7f] : [(x & 0x7f) | 0x80, ...signed(x >> 7)];
}
