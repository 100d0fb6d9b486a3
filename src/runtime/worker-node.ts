// The engine's thread: an executor that takes requests from its parent. Started by node.ts.
import { parentPort, workerData } from "node:worker_threads";
import { BugError } from "../errors.ts";
import { Executor } from "./executor-node.ts";
import { ExitGate } from "./exit-gate.ts";
import { type EngineOptions, settle } from "./options-node.ts";
import { recordError, type Request } from "./protocol.ts";

/** What node.ts hands to its worker. */
export interface WorkerStart {
  readonly options: EngineOptions;
  readonly gate: Int32Array<SharedArrayBuffer>;
}

const parent = parentPort;
if (parent === null) throw new BugError("ENGINE_START", { expected: "a worker thread", got: "the main thread" });
const { options, gate: shared } = workerData as WorkerStart;
const gate = new ExitGate(shared);
try {
  const settings = await gate.within(() => settle(options));
  const executor = new Executor({ ...settings, gate, reply: (reply, transfer) => parent.postMessage(reply, transfer) });
  parent.on("message", (request: Request) => executor.accept(request));
  parent.postMessage({ settings }, []);
} catch (error) {
  parent.postMessage({ error: recordError(error) }, []);
}
