// The engine's face: ids, checks and requests; another thread (or this one) does the work behind a Port.
import { BugError, RunError } from "../errors.ts";
import { checkGraph } from "../graph/check.ts";
import { encodeModel } from "../graph/encode.ts";
import type { Graph, NamedType } from "../graph/graph.ts";
import type { DType, Shape, Tensor } from "../graph/tensor.ts";
import type { AllocateOptions, Engine, EngineBuffer, ModelFile, Pass, Program } from "./engine.ts";
import { Ledger } from "./ledger.ts";
import { CommandPass, type PassOwner } from "./pass.ts";
import { type ProgramSource, type Question, type Reply, type Request, restoreError } from "./protocol.ts";

/** The way to an executor. Requests are handled in the order they are posted. */
export interface Port {
  post(request: Request, transfer: readonly ArrayBuffer[]): void;
  /** while true the process must stay alive for replies */
  hold(waiting: boolean): void;
  /** ends the executor after it answered `close`, or when it cannot answer any more */
  stop(): Promise<void>;
}

export interface ClientOptions {
  readonly threads: number;
  /** programs get the leading sequence output that zero-copy.ts needs */
  readonly leadingSequence: boolean;
  readonly port: Port;
}

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
}

export class EngineClient implements Engine, PassOwner {
  readonly threads: number;
  readonly #port: Port;
  readonly #leadingSequence: boolean;
  readonly #ledger = new Ledger();
  readonly #programs = new Set<number>();
  readonly #waiting = new Map<number, Waiting>();
  #lastTicket = 0;
  #lastProgram = 0;
  #closing: Promise<void> | undefined;
  #broken: RunError | undefined;

  constructor({ threads, leadingSequence, port }: ClientOptions) {
    this.threads = threads;
    this.#port = port;
    this.#leadingSequence = leadingSequence;
  }

  async load(graph: Graph): Promise<Program> {
    this.#checkOpen();
    checkGraph(graph, "cpu");
    const outputs = graph.outputs.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
    const model = encodeModel(graph, { leadingSequence: this.#leadingSequence });
    // a view of a larger buffer would be cloned with all of it
    const whole = model.byteLength === model.buffer.byteLength ? model : model.slice();
    const { name, inputs, inPlace } = graph;
    return this.#load({ name, model: whole, inputs, outputs }, inPlace, [whole.buffer as ArrayBuffer]);
  }

  async loadFile({ name, path, inputs, outputs, inPlace }: ModelFile): Promise<Program> {
    this.#checkOpen();
    return this.#load({ name, model: path, inputs, outputs }, inPlace);
  }

  async #load(
    source: Omit<ProgramSource, "id">,
    inPlace: Program["inPlace"] = {},
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<Program> {
    const id = ++this.#lastProgram;
    await this.#ask({ type: "load", program: { id, ...source } }, transfer);
    this.#programs.add(id);
    const byName = (list: readonly NamedType[]): Program["inputs"] =>
      Object.fromEntries(list.map(({ name, dtype, shape }) => [name, { dtype, shape }]));
    return { id, name: source.name, inputs: byName(source.inputs), outputs: byName(source.outputs), inPlace };
  }

  async unload(program: Program): Promise<void> {
    this.#checkOpen();
    this.checkProgram(program);
    this.#programs.delete(program.id);
    await this.#ask({ type: "unload", id: program.id });
  }

  reserve(pool: string, bytes: number): void {
    this.#checkOpen();
    this.#ledger.reserve(pool, bytes);
    this.#port.post({ type: "reserve", pool, bytes }, []);
  }

  allocate<D extends DType>(dtype: D, shape: Shape, options: AllocateOptions = {}): EngineBuffer<D> {
    this.#checkOpen();
    const { buffer, allocation } = this.#ledger.allocate(dtype, shape, options.pool);
    this.#port.post({ type: "allocate", ...allocation }, []);
    return buffer;
  }

  free(buffer: EngineBuffer): void {
    this.#checkOpen();
    this.#ledger.free(buffer);
    this.#port.post({ type: "free", id: buffer.id }, []);
  }

  releasePool(pool: string): void {
    this.#checkOpen();
    this.#ledger.releasePool(pool);
    this.#port.post({ type: "releasePool", pool }, []);
  }

  pass(): Pass {
    this.#checkOpen();
    return new CommandPass(this);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  checkBuffer(buffer: EngineBuffer): void {
    this.#ledger.check(buffer);
  }

  checkProgram(program: Program): void {
    if (!this.#programs.has(program.id)) {
      throw new BugError("ENGINE_PROGRAM", {
        expected: "a loaded program",
        got: "one that was unloaded",
        where: program.name,
      });
    }
  }

  async submit(...[commands, transfer]: Parameters<PassOwner["submit"]>): Promise<Record<string, Tensor>> {
    this.#checkOpen();
    const { tensors = {} } = await this.#ask({ type: "pass", commands }, transfer);
    return tensors;
  }

  /** Takes one answer from the port. */
  deliver(reply: Reply): void {
    const waiting = this.#waiting.get(reply.ticket);
    if (waiting === undefined) return;
    this.#settle(reply.ticket);
    if (reply.error === undefined) waiting.resolve(reply);
    else waiting.reject(restoreError(reply.error));
  }

  /** The executor is gone: everything that waits rejects with `error`, and so does everything asked later. */
  fail(error: RunError): void {
    this.#broken ??= error;
    this.#rejectAll(error);
  }

  async #close(): Promise<void> {
    const answered = this.#broken ? undefined : this.#ask({ type: "close" });
    const closed = new RunError("ENGINE_CLOSED", { expected: "an open engine", got: "one that was closed" });
    this.#broken ??= closed;
    const last = this.#lastTicket;
    this.#rejectAll(closed, answered && last);
    await answered?.catch(() => {});
    await this.#port.stop();
  }

  #rejectAll(error: RunError, except?: number): void {
    for (const [ticket, { reject }] of this.#waiting) {
      if (ticket === except) continue;
      this.#settle(ticket);
      reject(error);
    }
  }

  #checkOpen(): void {
    if (this.#broken) throw this.#broken;
  }

  #ask(question: Question, transfer: readonly ArrayBuffer[] = []): Promise<Reply> {
    const ticket = ++this.#lastTicket;
    return new Promise((resolve, reject) => {
      this.#waiting.set(ticket, { resolve, reject });
      this.#port.hold(true);
      this.#port.post({ ...question, ticket }, transfer);
    });
  }

  #settle(ticket: number): void {
    this.#waiting.delete(ticket);
    if (this.#waiting.size === 0) this.#port.hold(false);
  }
}
