// Reads pickles as data (docs.python.org/3/library/pickletools): a machine that builds lists and dicts and calls nothing
// but what its caller names. No other opcode, no other global, is known to it, so nothing can be executed.
import { InputError } from "../errors.ts";

/** A name that the pickle asks for, such as `torch.FloatStorage`. */
export class PickleGlobal {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

export type PickleValue = unknown;

export interface PickleRules {
  /** the value of a call; undefined where it is refused */
  readonly call: (name: string, args: readonly PickleValue[]) => PickleValue | undefined;
  /** the globals that may appear */
  readonly globals: ReadonlySet<string>;
  /** an object that lies outside the pickle, by its identity */
  readonly persistent: (id: PickleValue) => PickleValue;
  /** for errors */
  readonly where: string;
}

const MARK = Symbol("mark");
/** Containers inside each other, lists of arguments included: checkpoints have five or so. */
const MOST_STACK = 1e6;
const decoder = new TextDecoder("utf-8", { fatal: true });

/** The value of a pickle of protocol 2 to 4; dicts are Maps. Throws `PICKLE_REFUSED`, `PICKLE_INVALID`. */
export function readPickle(bytes: Uint8Array, rules: PickleRules): PickleValue {
  return new Machine(bytes, rules).run();
}

class Machine {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #rules: PickleRules;
  readonly #memo = new Map<number, PickleValue>();
  #stack: PickleValue[] = [];
  #at = 0;

  constructor(bytes: Uint8Array, rules: PickleRules) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#rules = rules;
  }

  run(): PickleValue {
    for (;;) {
      const opcode = this.#bytes[this.#take(1)]!;
      if (opcode === 0x2e) return this.#pop();
      const step = steps[opcode];
      if (step === undefined)
        throw this.#wrong("PICKLE_REFUSED", "an opcode of plain data", `0x${opcode.toString(16)}`);
      step(this);
      if (this.#stack.length > MOST_STACK) throw this.#wrong("PICKLE_INVALID", `at most ${MOST_STACK} values`, "more");
    }
  }

  push(value: PickleValue): void {
    this.#stack.push(value);
  }

  uint(bytes: 1 | 2 | 4 | 8): number {
    const at = this.#take(bytes);
    if (bytes === 1) return this.#view.getUint8(at);
    if (bytes === 2) return this.#view.getUint16(at, true);
    return bytes === 4 ? this.#view.getUint32(at, true) : Number(this.#view.getBigUint64(at, true));
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  double(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  /** little-endian two's complement of so many bytes */
  long(length: number): number {
    const at = this.#take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#bytes[at + i]!);
    return Number(BigInt.asIntN(8 * Math.max(1, length), value));
  }

  text(length: number): string {
    const at = this.#take(length);
    try {
      return decoder.decode(this.#bytes.subarray(at, at + length));
    } catch {
      throw this.#wrong("PICKLE_INVALID", "UTF-8 text", "other bytes");
    }
  }

  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw this.#wrong("PICKLE_INVALID", "a line", "the end");
    const text = this.text(end - this.#at);
    this.#at = end + 1;
    return text;
  }

  memoize(key: number): void {
    this.#memo.set(key, this.#stack.at(-1));
  }

  remember(): void {
    this.memoize(this.#memo.size);
  }

  recall(key: number): void {
    if (!this.#memo.has(key)) throw this.#wrong("PICKLE_INVALID", "a value stored before", `number ${key}`);
    this.push(this.#memo.get(key));
  }

  mark(): void {
    this.push(MARK);
  }

  /** what was pushed since the last mark */
  sinceMark(): PickleValue[] {
    const at = this.#stack.lastIndexOf(MARK);
    if (at < 0) throw this.#wrong("PICKLE_INVALID", "a mark", "none");
    return this.#stack.splice(at).slice(1);
  }

  tuple(length: number): void {
    const items = Array.from({ length }, () => this.#pop());
    this.push(items.toReversed());
  }

  setItems(pairs: readonly PickleValue[]): void {
    const target = this.#stack.at(-1);
    if (!(target instanceof Map) || pairs.length % 2 !== 0) throw this.#wrong("PICKLE_INVALID", "a dict", "another");
    for (let i = 0; i < pairs.length; i += 2) target.set(pairs[i], pairs[i + 1]);
  }

  setItem(): void {
    const [value, key] = [this.#pop(), this.#pop()];
    this.setItems([key, value]);
  }

  appendAll(items: readonly PickleValue[]): void {
    const target = this.#stack.at(-1);
    if (!Array.isArray(target)) throw this.#wrong("PICKLE_INVALID", "a list", "another");
    for (const item of items) target.push(item);
  }

  append(): void {
    const item = this.#pop();
    this.appendAll([item]);
  }

  global(name: string): void {
    if (!this.#rules.globals.has(name)) {
      throw this.#wrong("PICKLE_REFUSED", "tensors and plain data alone", `the name ${name.slice(0, 80)}`);
    }
    this.push(new PickleGlobal(name));
  }

  stackGlobal(): void {
    const [name, module] = [this.#pop(), this.#pop()];
    this.global(`${String(module)}.${String(name)}`);
  }

  reduce(): void {
    const [args, callee] = [this.#pop(), this.#pop()];
    const value =
      callee instanceof PickleGlobal && Array.isArray(args) ? this.#rules.call(callee.name, args) : undefined;
    if (value === undefined) throw this.#wrong("PICKLE_REFUSED", "a call that makes a tensor or a dict", "another");
    this.push(value);
  }

  /** the state of a dict (PyTorch's versions of its modules) is of no use here; nothing else has one */
  build(): void {
    this.#pop();
    if (!(this.#stack.at(-1) instanceof Map)) throw this.#wrong("PICKLE_REFUSED", "a dict with a state", "another");
  }

  persistent(): void {
    this.push(this.#rules.persistent(this.#pop()));
  }

  #pop(): PickleValue {
    if (this.#stack.length === 0 || this.#stack.at(-1) === MARK) {
      throw this.#wrong("PICKLE_INVALID", "a value", "none left");
    }
    return this.#stack.pop();
  }

  #take(length: number): number {
    if (length > this.#bytes.length - this.#at) throw this.#wrong("PICKLE_INVALID", `${length} bytes`, "the end");
    const at = this.#at;
    this.#at += length;
    return at;
  }

  #wrong(code: string, expected: string, got: string): InputError {
    const where = `${this.#rules.where}, before byte ${this.#at}`;
    const fix = "convert the checkpoint to safetensors where it comes from";
    return new InputError(code, { expected, got, where, fix });
  }
}

/** Every opcode that is known. */
const steps: Readonly<Record<number, (m: Machine) => unknown>> = {
  0x80: (m) => m.uint(1), // PROTO
  0x95: (m) => m.uint(8), // FRAME
  0x28: (m) => m.mark(),
  0x4e: (m) => m.push(null),
  0x88: (m) => m.push(true),
  0x89: (m) => m.push(false),
  0x4b: (m) => m.push(m.uint(1)),
  0x4d: (m) => m.push(m.uint(2)),
  0x4a: (m) => m.push(m.int32()),
  0x8a: (m) => m.push(m.long(m.uint(1))),
  0x47: (m) => m.push(m.double()),
  0x58: (m) => m.push(m.text(m.uint(4))),
  0x8c: (m) => m.push(m.text(m.uint(1))),
  0x55: (m) => m.push(m.text(m.uint(1))), // SHORT_BINSTRING
  0x7d: (m) => m.push(new Map()),
  0x5d: (m) => m.push([]),
  0x29: (m) => m.push([]),
  0x85: (m) => m.tuple(1),
  0x86: (m) => m.tuple(2),
  0x87: (m) => m.tuple(3),
  0x74: (m) => m.push(m.sinceMark()),
  0x73: (m) => m.setItem(),
  0x75: (m) => m.setItems(m.sinceMark()),
  0x61: (m) => m.append(),
  0x65: (m) => m.appendAll(m.sinceMark()),
  0x71: (m) => m.memoize(m.uint(1)),
  0x72: (m) => m.memoize(m.uint(4)),
  0x94: (m) => m.remember(),
  0x68: (m) => m.recall(m.uint(1)),
  0x6a: (m) => m.recall(m.uint(4)),
  0x63: (m) => m.global(`${m.line()}.${m.line()}`),
  0x93: (m) => m.stackGlobal(),
  0x52: (m) => m.reduce(),
  0x62: (m) => m.build(),
  0x51: (m) => m.persistent(),
};
