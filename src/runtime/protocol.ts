// What crosses from the engine's face to the thread that computes: requests, replies, and errors as plain data.
import { BugError, type ErrorDetails, InputError, LlavaError, RunError } from "../errors.ts";
import type { NamedType } from "../graph/graph.ts";
import type { Arrays, DType, Shape, Tensor } from "../graph/tensor.ts";
import type { EngineBuffer } from "./engine.ts";
import type { KernelCall } from "./kernel-calls.ts";

/**
 * One step of a pass. A run names buffers as flat pairs (id, offset) in the program's own order; id −1 is not bound.
 * Their shapes, inputs first, come with it where the program's are open.
 */
export type Command =
  | {
      readonly do: "run";
      readonly program: number;
      readonly inputs: readonly number[];
      readonly outputs: readonly number[];
      readonly shapes?: readonly Shape[];
    }
  | { readonly do: "call"; readonly call: KernelCall }
  | { readonly do: "write"; readonly buffer: EngineBuffer; readonly data: Arrays[DType] }
  | { readonly do: "read"; readonly key: string; readonly buffer: EngineBuffer };

/** Bytes of one allocation; inside a pool when `pool` is given. */
export interface Allocation {
  readonly id: number;
  readonly bytes: number;
  readonly pool?: { readonly name: string; readonly byteOffset: number };
}

/** Needs no reply; a failure shows when a pass touches what was asked for. */
export type Notice =
  | { readonly type: "reserve"; readonly pool: string; readonly bytes: number }
  | ({ readonly type: "allocate" } & Allocation)
  | { readonly type: "free"; readonly id: number }
  | { readonly type: "releasePool"; readonly pool: string };

/** A compiled graph as it is sent: inputs and outputs in the order that runs bind them. */
export interface ProgramSource {
  readonly id: number;
  readonly name: string;
  /** ONNX's bytes, or the file that holds them */
  readonly model: Uint8Array | string;
  readonly inputs: readonly NamedType[];
  readonly outputs: readonly NamedType[];
}

/** Answered by one reply with the same ticket. */
export type Question =
  | { readonly type: "load"; readonly program: ProgramSource }
  | { readonly type: "unload"; readonly id: number }
  | { readonly type: "pass"; readonly commands: readonly Command[] }
  | { readonly type: "close" };

export type Request = Notice | (Question & { readonly ticket: number });

export interface Reply {
  readonly ticket: number;
  /** what a pass read */
  readonly tensors?: Record<string, Tensor>;
  readonly error?: ErrorRecord;
}

/** An error of ours without its class, so that it can be cloned into another thread. */
export interface ErrorRecord {
  readonly kind: "input" | "run" | "bug";
  readonly code: string;
  readonly details: ErrorDetails;
}

/** Any thrown value as a record; what is not ours becomes `ENGINE_FAILED`. */
export function recordError(error: unknown): ErrorRecord {
  if (!(error instanceof LlavaError)) {
    const details = { expected: "the engine to go on", got: messageOf(error), cause: causeOf(error) };
    return { kind: "run", code: "ENGINE_FAILED", details };
  }
  const kind = error instanceof InputError ? "input" : error instanceof BugError ? "bug" : "run";
  const { cause, ...details } = error.details;
  return { kind, code: error.code, details: cause === undefined ? details : { ...details, cause: causeOf(cause) } };
}

export function restoreError({ kind, code, details }: ErrorRecord): LlavaError {
  if (kind === "input") return new InputError(code, details);
  return kind === "bug" ? new BugError(code, details) : new RunError(code, details);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function causeOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
