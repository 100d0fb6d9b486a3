// A pass under construction: every command is checked against the program and the ledger before it is taken.
import { BugError } from "../errors.ts";
import { type Arrays, arrayOf, type DType, type Shape, showShape, sizeOf, type Tensor } from "../graph/tensor.ts";
import type { Bindings, EngineBuffer, Pass, Program, WriteOptions } from "./engine.ts";
import { buffersOf, type KernelCall } from "./kernel-calls.ts";
import { checkCall } from "./kernel-checks.ts";
import { overlap } from "./ledger.ts";
import type { Command } from "./protocol.ts";

/** What a pass needs of its engine. */
export interface PassOwner {
  /** throws when the buffer cannot be used */
  checkBuffer(buffer: EngineBuffer): void;
  /** throws when the program was unloaded */
  checkProgram(program: Program): void;
  submit(commands: readonly Command[], transfer: readonly ArrayBuffer[]): Promise<Record<string, Tensor>>;
}

/** Arrays from this size on are moved to the other thread; smaller ones are cheaper to clone. */
const worthMoving = 65536;

/** Collects commands; `submit` sends them once. */
export class CommandPass implements Pass {
  readonly #owner: PassOwner;
  readonly #commands: Command[] = [];
  readonly #transfer: ArrayBuffer[] = [];
  readonly #keys = new Set<string>();
  #spent = false;

  constructor(owner: PassOwner) {
    this.#owner = owner;
  }

  run(program: Program, inputs: Bindings, outputs: Bindings): this {
    this.#owner.checkProgram(program);
    const bound = Object.values(outputs);
    if (bound.length === 0) fail("ENGINE_BINDING", "at least one output", "none", program.name);
    this.#checkBindings(program, "input", inputs);
    this.#checkBindings(program, "output", outputs);
    checkAliases(program, inputs, outputs);
    const taken = Object.keys(program.inputs).map(
      (name) => inputs[name] ?? fail("ENGINE_BINDING", `input ${name}`, "nothing bound", program.name),
    );
    const given = Object.keys(program.outputs).map((name) => outputs[name]);
    return this.#add({
      do: "run",
      program: program.id,
      inputs: taken.flatMap(({ id, offset }) => [id, offset]),
      outputs: given.flatMap((buffer) => [buffer?.id ?? -1, buffer?.offset ?? 0]),
      ...(isOpen(program) ? { shapes: [...taken, ...given].map((buffer) => buffer?.shape ?? []) } : {}),
    });
  }

  call(call: KernelCall): this {
    checkCall(call);
    for (const buffer of buffersOf(call)) this.#owner.checkBuffer(buffer);
    return this.#add({ do: "call", call });
  }

  write<D extends DType>(buffer: EngineBuffer<D>, data: Arrays[D], { transfer = false }: WriteOptions = {}): this {
    this.#owner.checkBuffer(buffer);
    const right = data.constructor === arrayOf(buffer.dtype, 0).constructor && data.length === sizeOf(buffer.shape);
    if (!right) {
      const expected = `${sizeOf(buffer.shape)} elements of ${buffer.dtype}`;
      fail("ENGINE_WRITE", expected, `${data.length} in a ${data.constructor.name}`, `buffer ${buffer.id}`);
    }
    if (transfer && data.byteLength !== data.buffer.byteLength) {
      fail("ENGINE_WRITE", "an array that is its whole memory, to give away", "a part", `buffer ${buffer.id}`);
    }
    // a copy of just this part: cloning a view would clone all the memory behind it
    const taken = transfer ? data : data.slice();
    if (transfer || taken.byteLength >= worthMoving) this.#transfer.push(taken.buffer as ArrayBuffer);
    return this.#add({ do: "write", buffer, data: taken });
  }

  read(key: string, buffer: EngineBuffer): this {
    this.#owner.checkBuffer(buffer);
    if (this.#keys.has(key)) fail("ENGINE_READ", "one read per key", `two of ${key}`);
    this.#keys.add(key);
    return this.#add({ do: "read", key, buffer });
  }

  async submit(): Promise<Record<string, Tensor>> {
    if (this.#spent) fail("ENGINE_PASS", "a pass to be submitted once", "a second submit");
    this.#spent = true;
    return this.#owner.submit(this.#commands, this.#transfer);
  }

  #add(command: Command): this {
    if (this.#spent) fail("ENGINE_PASS", "a new pass", "a command added after submit");
    this.#commands.push(command);
    return this;
  }

  #checkBindings(program: Program, side: "input" | "output", bindings: Bindings): void {
    const declared = side === "input" ? program.inputs : program.outputs;
    for (const [name, buffer] of Object.entries(bindings)) {
      const where = `${side} ${name} of ${program.name}`;
      const type = declared[name] ?? fail("ENGINE_BINDING", `one of ${Object.keys(declared).join(", ")}`, name, where);
      this.#owner.checkBuffer(buffer);
      if (type.dtype !== buffer.dtype || !fits(type.shape, buffer.shape)) {
        const show = (x: { dtype: DType; shape: readonly number[] }): string => `${x.dtype} ${showShape(x.shape)}`;
        fail("ENGINE_BINDING", show(type), show(buffer), where);
      }
    }
  }
}

/** ONNX Runtime may write an output before its last read of an input, so no output may share memory with another operand. */
function checkAliases(program: Program, inputs: Bindings, outputs: Bindings): void {
  const owners = new Map<number, [string, EngineBuffer][]>();
  for (const entry of [...Object.entries(outputs), ...Object.entries(inputs)]) {
    const [name, buffer] = entry;
    const others = owners.get(buffer.id) ?? [];
    const clash = others.find(
      ([output, other]) => overlap(other, buffer) && !(program.inPlace[output] === name && same(other, buffer)),
    );
    if (clash) fail("ENGINE_ALIAS", "outputs that share no memory", `output ${clash[0]} within ${name}`, program.name);
    // inputs may share memory with each other: only outputs are remembered
    if (outputs[name] === buffer) owners.set(buffer.id, [...others, entry]);
  }
}

function fail(code: string, expected: string, got: string, where?: string): never {
  throw new BugError(code, { expected, got, ...(where === undefined ? {} : { where }) });
}

const isOpen = ({ inputs, outputs }: Program): boolean =>
  [...Object.values(inputs), ...Object.values(outputs)].some(({ shape }) => shape.includes(-1));

/** As many elements where all lengths are known, else the same axes. */
function fits(declared: Shape, given: Shape): boolean {
  if (!declared.includes(-1)) return sizeOf(declared) === sizeOf(given);
  return declared.length === given.length && declared.every((n, i) => n === -1 || n === given[i]);
}

/** The whole of one buffer's memory and nothing else. */
function same(a: EngineBuffer, b: EngineBuffer): boolean {
  return a.offset === b.offset && sizeOf(a.shape) === sizeOf(b.shape);
}
