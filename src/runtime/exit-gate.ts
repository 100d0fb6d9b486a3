// Keeps a process from ending while its engine is inside ONNX Runtime: the binding aborts the process when its thread
// is torn down in the middle of a call. Two shared numbers, one per side, read and written atomically.
import { RunError } from "../errors.ts";

const busy = 0;
const shut = 1;

export class ExitGate {
  /** crosses to the other thread as it is */
  readonly shared: Int32Array<SharedArrayBuffer>;

  constructor(shared = new Int32Array(new SharedArrayBuffer(8))) {
    this.shared = shared;
  }

  /** Called by the engine's thread around all it does with ONNX Runtime; throws `ENGINE_CLOSED` once the gate is shut. */
  async within<T>(work: () => Promise<T>): Promise<T> {
    // first "busy", then the look at "shut"; the other side does it the other way round, so one of them sees the other
    Atomics.store(this.shared, busy, 1);
    try {
      this.check();
      return await work();
    } finally {
      Atomics.store(this.shared, busy, 0);
      Atomics.notify(this.shared, busy);
    }
  }

  /** Throws `ENGINE_CLOSED` once the gate is shut. */
  check(): void {
    if (Atomics.load(this.shared, shut) === 1) {
      throw new RunError("ENGINE_CLOSED", { expected: "an open engine", got: "one that was closed" });
    }
  }

  /** Called by the other thread: from now on nothing begins; blocks until what runs has ended, at most `milliseconds`. */
  shut(milliseconds = 0): void {
    Atomics.store(this.shared, shut, 1);
    if (milliseconds > 0) Atomics.wait(this.shared, busy, 1, milliseconds);
  }
}
