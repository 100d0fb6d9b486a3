// A server of the tiny LLaVA on a real socket, for tests.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeTinyLlava } from "../../test/tiny-llava.ts";
import { openAssistant } from "../generate/node.ts";
import { createEngine } from "../runtime/node.ts";
import type { RequestLog } from "./app.ts";
import type { ServedModel } from "./models.ts";
import { serve, type ServeOptions, type Serving } from "./server.ts";

export interface TinyServers {
  readonly model: ServedModel;
  /** what the servers have logged */
  readonly lines: readonly RequestLog[];
  readonly internal: readonly unknown[];
  /** Starts another server of the model; it ends with the others. */
  start(options?: Partial<ServeOptions>): Promise<Serving>;
  end(): Promise<void>;
}

/** Loads the model; any number of servers may share it. */
export async function openTinyServers(positions?: number): Promise<TinyServers> {
  const folder = await mkdtemp(join(tmpdir(), "serve-"));
  await writeTinyLlava(join(folder, "tiny"), positions);
  const engine = await createEngine({ threads: 1 });
  const model = { name: "tiny", assistant: await openAssistant(join(folder, "tiny"), { engine }), created: 1 };
  const lines: RequestLog[] = [];
  const internal: unknown[] = [];
  const servers: Serving[] = [];
  return {
    model,
    lines,
    internal,
    start: async (options = {}) => {
      const log = (line: RequestLog, failure?: unknown): void => {
        lines.push(line);
        if (failure !== undefined) internal.push(failure);
      };
      const server = await serve({ models: [model], port: 0, log, ...options });
      servers.push(server);
      return server;
    },
    end: async () => {
      await Promise.all(servers.map((server) => server.end()));
      await engine.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** Waits until `seen` is true; fails after `seconds`. */
export async function until(seen: () => boolean | Promise<boolean>, seconds = 30): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!(await seen())) {
    if (performance.now() > end) throw new Error(`not within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A number of /metrics. */
export async function metric(url: string, name: string, headers: Record<string, string> = {}): Promise<number> {
  const text = await (await fetch(`${url}/metrics`, { headers })).text();
  return Number(
    text
      .split("\n")
      .find((line) => line.startsWith(`${name} `))
      ?.slice(name.length + 1),
  );
}
