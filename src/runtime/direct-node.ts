// The engine in the calling thread: for tests and tools; a run blocks everything else.
import { EngineClient } from "./client.ts";
import type { Engine } from "./engine.ts";
import { ExitGate } from "./exit-gate.ts";
import { Executor } from "./executor-node.ts";
import { type EngineOptions, settle } from "./options-node.ts";

/** An engine without a thread of its own. Throws `ENGINE_ZERO_COPY` when that is demanded and cannot be had. */
export async function createDirectEngine(options: EngineOptions = {}): Promise<Engine> {
  const { threads, zeroCopy } = await settle(options);
  const executor = new Executor({ threads, zeroCopy, gate: new ExitGate(), reply: (reply) => client.deliver(reply) });
  const port = { post: executor.accept.bind(executor), hold() {}, stop: async () => {} };
  const client = new EngineClient({ threads, leadingSequence: zeroCopy, port });
  return client;
}
