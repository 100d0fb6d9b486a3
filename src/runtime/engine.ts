// The engine's interface: programs compiled from graphs, buffers that stay with the engine, and passes of commands.
import type { Arrays, DType, Shape, Tensor } from "../graph/tensor.ts";
import type { Graph, NamedType } from "../graph/graph.ts";
import type { EngineBuffer } from "./buffer.ts";
import type { KernelCall } from "./kernel-calls.ts";

export type { EngineBuffer } from "./buffer.ts";

/** A compiled graph. Inputs and outputs are named; an axis of length −1 is as long as a run's buffers say. */
export interface Program {
  readonly id: number;
  readonly name: string;
  readonly inputs: Readonly<Record<string, { dtype: DType; shape: Shape }>>;
  readonly outputs: Readonly<Record<string, { dtype: DType; shape: Shape }>>;
  /** output → input that may be bound to the very same buffer (see Graph) */
  readonly inPlace: Readonly<Record<string, string>>;
}

/** A model in a file of ONNX's, with what it takes and gives; −1 stands for axes that each run decides. */
export interface ModelFile {
  readonly name: string;
  /** the file; weights that lie outside it lie beside it */
  readonly path: string;
  readonly inputs: readonly NamedType[];
  /** what the file begins with for engines that write in place (`sequenceOutput`) is not among them */
  readonly outputs: readonly NamedType[];
  /** output → input that may be bound to the very same buffer */
  readonly inPlace?: Readonly<Record<string, string>>;
}

export type Bindings = Readonly<Record<string, EngineBuffer>>;

export interface WriteOptions {
  /** the array is its whole ArrayBuffer, which the caller gives up: it is detached when the pass is submitted */
  readonly transfer?: boolean;
}

/**
 * A list of commands that the engine executes in order with one message. Nothing runs before `submit`, which can be
 * called once. Buffers must match the program's names, dtypes and element counts, or shapes where an axis is open (checked when the command is added:
 * a mistake throws a BugError there). When a command fails, those before it have happened, those after it do not run,
 * `submit` rejects, and the engine goes on with the next pass.
 */
export interface Pass {
  /**
   * Runs a program. Outputs that are not bound are not computed for the caller. An output shares no memory with an
   * input or another output of the same run (`ENGINE_ALIAS`): it may be written before the input was last read.
   */
  run(program: Program, inputs: Bindings, outputs: Bindings): Pass;
  /** runs a plain loop over buffers in the engine's thread (AdamW, row gather, copies: see kernels.ts) */
  call(call: KernelCall): Pass;
  /** copies `data` (taken as it is now) into a buffer; with `transfer` the array is given away instead of copied */
  write<D extends DType>(buffer: EngineBuffer<D>, data: Arrays[D], options?: WriteOptions): Pass;
  /** copies a buffer to the host; found under `key` in what `submit` returns */
  read(key: string, buffer: EngineBuffer): Pass;
  submit(): Promise<Record<string, Tensor>>;
}

export interface AllocateOptions {
  /** buffers of one pool share one memory that fast kernels can work in; the pool must have been reserved */
  readonly pool?: string;
}

/** Where tensors are computed. CPU in a worker thread, CPU in this thread (tests), later WebGPU and the browser. */
export interface Engine {
  readonly threads: number;
  /** encodes and compiles a graph; throws `ENGINE_COMPILE` naming the graph */
  load(graph: Graph): Promise<Program>;
  /** compiles a model that lies in a file with a leading sequence; throws `ENGINE_COMPILE` */
  loadFile(file: ModelFile): Promise<Program>;
  unload(program: Program): Promise<void>;
  /** reserves one memory of at most 4 GiB - 64 KiB for the buffers of a pool */
  reserve(pool: string, bytes: number): void;
  /** a zeroed buffer; throws `ENGINE_MEMORY` when it does not fit its pool */
  allocate<D extends DType>(dtype: D, shape: Shape, options?: AllocateOptions): EngineBuffer<D>;
  /** frees one allocation (views die with it); buffers of a pool are freed with `releasePool` */
  free(buffer: EngineBuffer): void;
  releasePool(pool: string): void;
  pass(): Pass;
  /** stops the engine; pending passes reject with `ENGINE_CLOSED` */
  close(): Promise<void>;
}

/** A view of part of a buffer: same memory, other shape; `offset` counts elements from the buffer's own start. */
export function view<D extends DType>(buffer: EngineBuffer<D>, shape: Shape, offset = 0): EngineBuffer<D> {
  return { ...buffer, shape, offset: buffer.offset + offset };
}

/** Uploads one host tensor into a fresh buffer. */
export async function upload<D extends DType>(engine: Engine, tensor: Tensor<D>): Promise<EngineBuffer<D>> {
  const buffer = engine.allocate(tensor.dtype, tensor.shape);
  await engine.pass().write(buffer, tensor.data).submit();
  return buffer;
}

/** Downloads one buffer. */
export async function download<D extends DType>(engine: Engine, buffer: EngineBuffer<D>): Promise<Tensor<D>> {
  const { value } = await engine.pass().read("value", buffer).submit();
  return value as Tensor<D>;
}
