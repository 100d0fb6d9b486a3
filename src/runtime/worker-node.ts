// The engine's thread: an executor that takes requests from its parent. Started by node.ts.
import { parentPort, workerData } from "node:worker_threads";
import { BugError } from "../errors.ts";
import { Executor } from "./executor-node.ts";
import { type EngineOptions, settle } from "./options-node.ts";
import { recordError, type Request } from "./protocol.ts";

const parent = parentPort;
if (parent === null) throw new BugError("ENGINE_START", { expected: "a worker thread", got: "the main thread" });
try {
  const settings = await settle(workerData as EngineOptions);
  const executor = new Executor({ ...settings, reply: (reply, transfer) => parent.postMessage(reply, transfer) });
  parent.on("message", (request: Request) => executor.accept(request));
  parent.postMessage({ settings }, []);
} catch (error) {
  parent.postMessage({ error: recordError(error) }, []);
}
