// What computes: memory, ONNX Runtime sessions and loops, driven by requests one after another.
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { BugError, LlavaError, RunError } from "../errors.ts";
import type { NamedType } from "../graph/graph.ts";
import { type Arrays, type DType, type Shape, showShape, sizeOf, type Tensor } from "../graph/tensor.ts";
import type { EngineBuffer } from "./engine.ts";
import type { ExitGate } from "./exit-gate.ts";
import { runKernel } from "./kernels.ts";
import { type Command, messageOf, type ProgramSource, recordError, type Reply, type Request } from "./protocol.ts";
import { Storage } from "./storage.ts";
import { runInto } from "./zero-copy-node.ts";

export interface ExecutorOptions {
  readonly threads: number;
  readonly zeroCopy: boolean;
  /** shut from another thread, or here by `close` */
  readonly gate: ExitGate;
  readonly reply: (reply: Reply, transfer: readonly ArrayBuffer[]) => void;
}

interface Compiled extends Omit<ProgramSource, "model"> {
  readonly session: InferenceSession;
}

/**
 * Settings that were measured to matter: see docs/decisions.
 * @param spinning threads wait for the next node in a loop: a third faster where one session runs many short nodes
 */
export function sessionOptions(threads: number, spinning = false): InferenceSession.SessionOptions {
  return {
    executionProviders: ["cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    enableMemPattern: false,
    // errors come back as exceptions; nothing is to be printed besides
    logSeverityLevel: 4,
    // several sessions that spin take the cores from each other
    extra: { session: { intra_op: { allow_spinning: spinning ? "1" : "0" } } },
  };
}

export class Executor {
  readonly #options: ExecutorOptions;
  readonly #storage = new Storage();
  readonly #programs = new Map<number, Compiled>();
  #queue: Promise<void> = Promise.resolve();

  constructor(options: ExecutorOptions) {
    this.#options = options;
  }

  /** Takes a request; it is handled after all earlier ones, except that `close` also stops a pass between two commands. */
  accept(request: Request): void {
    if (request.type === "close") this.#options.gate.shut();
    this.#queue = this.#queue.then(() => this.#handle(request));
  }

  async #handle(request: Request): Promise<void> {
    if (!("ticket" in request)) return this.#storage.apply(request);
    const { ticket } = request;
    try {
      const tensors = await (request.type === "close" ? this.#close() : this.#answer(request));
      const transfer = Object.values(tensors).map(({ data }) => data.buffer as ArrayBuffer);
      this.#options.reply({ ticket, tensors }, transfer);
    } catch (error) {
      this.#options.reply({ ticket, error: recordError(error) }, []);
    }
  }

  #answer(request: Extract<Request, { ticket: number }>): Promise<Record<string, Tensor>> {
    return this.#options.gate.within(async () => {
      if (request.type === "pass") return this.#pass(request.commands);
      if (request.type === "load") await this.#load(request.program);
      if (request.type === "unload") await this.#unload(request.id);
      return {};
    });
  }

  async #close(): Promise<Record<string, Tensor>> {
    await Promise.all([...this.#programs.keys()].map((id) => this.#unload(id)));
    return {};
  }

  async #load({ model, ...program }: ProgramSource): Promise<void> {
    try {
      // a model in a file is a whole one: nothing else runs meanwhile
      const options = sessionOptions(this.#options.threads, typeof model === "string");
      const session = await (typeof model === "string"
        ? InferenceSession.create(model, options)
        : InferenceSession.create(model, options));
      this.#programs.set(program.id, { ...program, session });
    } catch (error) {
      const details = { expected: "a graph that ONNX Runtime can compile", got: messageOf(error), cause: error };
      throw new RunError("ENGINE_COMPILE", { ...details, where: `graph ${program.name}` });
    }
  }

  async #unload(id: number): Promise<void> {
    await this.#programs.get(id)?.session.release();
    this.#programs.delete(id);
  }

  async #pass(commands: readonly Command[]): Promise<Record<string, Tensor>> {
    const tensors: Record<string, Tensor> = {};
    for (const command of commands) {
      this.#options.gate.check();
      if (command.do === "run") await this.#run(command);
      else if (command.do === "call") runKernel(command.call, this.#arrayOf);
      else if (command.do === "write") this.#arrayOf(command.buffer).set(command.data as never);
      else tensors[command.key] = this.#read(command.buffer);
    }
    return tensors;
  }

  async #run({ program: id, inputs, outputs, shapes }: Extract<Command, { do: "run" }>): Promise<void> {
    const program = this.#programs.get(id);
    if (!program) throw new BugError("ENGINE_PROGRAM", { expected: "a loaded program", got: `program ${id}` });
    try {
      const { session } = program;
      await runInto(
        session,
        this.#bind(program.inputs, inputs, shapes),
        this.#bind(program.outputs, outputs, shapes?.slice(program.inputs.length)),
        this.#options.zeroCopy,
      );
    } catch (error) {
      if (error instanceof LlavaError) throw error;
      const given = program.inputs.map(
        ({ name, dtype, shape }, i) => `${name} ${dtype} ${showShape(shapes?.[i] ?? shape)}`,
      );
      const where = `program ${program.name} with ${given.join(", ").slice(0, 1000)}`;
      throw new RunError("ENGINE_RUN", { expected: "the program to run", got: messageOf(error), where, cause: error });
    }
  }

  /** `pairs` holds (buffer id, offset) for each declared tensor; id −1 means not bound. */
  #bind(
    declared: readonly NamedType[],
    pairs: readonly number[],
    shapes?: readonly Shape[],
  ): Record<string, OrtTensor> {
    const tensors: Record<string, OrtTensor> = {};
    declared.forEach(({ name, dtype, shape: known }, i) => {
      const shape = shapes?.[i] ?? known;
      const [id, offset] = [pairs[2 * i]!, pairs[2 * i + 1]!];
      if (id >= 0) tensors[name] = new OrtTensor(dtype, this.#arrayOf({ id, dtype, shape, offset }) as never, shape);
    });
    return tensors;
  }

  readonly #arrayOf = <D extends DType>({ id, dtype, shape, offset }: EngineBuffer<D>): Arrays[D] =>
    this.#storage.view(id, dtype, offset, sizeOf(shape));

  #read(buffer: EngineBuffer): Tensor {
    return { dtype: buffer.dtype, shape: buffer.shape, data: this.#arrayOf(buffer).slice() };
  }
}
