// The engine for Node: ONNX Runtime in a worker thread, so that the calling thread stays free.
import { Worker } from "node:worker_threads";
import { LlavaError, RunError } from "../errors.ts";
import { EngineClient } from "./client.ts";
import type { Engine } from "./engine.ts";
import { ExitGate } from "./exit-gate.ts";
import type { EngineOptions, Settings } from "./options-node.ts";
import { type ErrorRecord, messageOf, type Reply, restoreError } from "./protocol.ts";
import type { WorkerStart } from "./worker-node.ts";

export { createDirectEngine } from "./direct-node.ts";

/** Milliseconds that the end of the process waits for the program that runs. */
const longestRun = 60_000;

type Start = { readonly settings: Settings } | { readonly error: ErrorRecord };

/**
 * Starts an engine in its own thread. The process ends by itself while the engine is idle, closed or not.
 * Throws `ENGINE_START` when the thread cannot start, `ENGINE_THREADS` for a wrong LLAVA_THREADS.
 */
export async function createEngine(options: EngineOptions = {}): Promise<Engine> {
  const gate = new ExitGate();
  const atExit = (): void => gate.shut(longestRun);
  process.on("exit", atExit);
  const workerData: WorkerStart = { options, gate: gate.shared };
  const worker = new Worker(workerFile(), { workerData, name: "llava engine", execArgv: [] });
  worker.once("exit", () => process.off("exit", atExit));
  const { threads, zeroCopy } = await started(worker);
  const client = new EngineClient({
    threads,
    leadingSequence: zeroCopy,
    port: {
      post: (request, transfer) => worker.postMessage(request, transfer),
      hold: (waiting) => (waiting ? worker.ref() : worker.unref()),
      stop: async () => void (await worker.terminate()),
    },
  });
  worker.on("message", (reply: Reply) => client.deliver(reply));
  worker.on("error", (error) => client.fail(crashed(error)));
  worker.on("exit", (code) => client.fail(crashed(`exit code ${code}`)));
  worker.unref();
  return client;
}

/** TypeScript sources cannot run in a worker of Node 20: there the built file is used (`npm run build`). */
function workerFile(): URL {
  const beside = new URL("./worker-node.js", import.meta.url);
  return import.meta.url.endsWith(".ts") ? new URL("../../dist/runtime/worker-node.js", beside) : beside;
}

async function started(worker: Worker): Promise<Settings> {
  try {
    const message = await new Promise<Start>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
    if ("error" in message) throw restoreError(message.error);
    return message.settings;
  } catch (error) {
    await worker.terminate();
    throw error instanceof LlavaError ? error : notStarted(error);
  } finally {
    worker.removeAllListeners("message").removeAllListeners("error");
  }
}

function notStarted(error: unknown): RunError {
  const fix = "run npm run build in a checkout, npm ci when packages are missing";
  return new RunError("ENGINE_START", {
    expected: "the engine's thread to start",
    got: messageOf(error),
    fix,
    cause: error,
  });
}

function crashed(error: unknown): RunError {
  return new RunError("ENGINE_CRASHED", {
    expected: "the engine's thread to run",
    got: messageOf(error),
    cause: error,
  });
}
