// A teacher's run in a process of its own, which can be killed.
import { spawn, spawnSync, type ChildProcess, type StdioOptions } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Meeting } from "../queue/shared.ts";
import { fakePrice, type FakeEndpoint } from "./endpoint.fixture.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const concurrency = 4;

/** A process that can be killed runs what is built. */
export function buildForProcesses(): void {
  const built = spawnSync(process.execPath, [join(root, "scripts/build.mjs")], { cwd: root, encoding: "utf8" });
  if (built.error !== undefined) throw built.error;
}

export interface Job {
  readonly out: string;
  readonly count: number;
  readonly inDoubt: "idempotent" | "again";
  readonly budget: number;
  readonly queue?: Meeting;
}

/** So long after its start, or after the endpoint's next request. */
export interface Kill {
  readonly after: "start" | "request";
  readonly ms: number;
}

function script({ count, ...options }: Job, server: FakeEndpoint): string {
  const at = (path: string): string => JSON.stringify(pathToFileURL(join(root, "dist", path)).href);
  return `
    import { openEndpoint } from ${at("endpoint/endpoint.js")};
    import { readBuiltInKinds } from ${at("teacher/kind.js")};
    import { runTeacher } from ${at("teacher/run.js")};
    const pictures = Array.from({ length: ${count} }, (_, i) => ({ id: "p" + i, image: i + ".jpg", captions: ["Picture " + i] }));
    const price = ${JSON.stringify(fakePrice)};
    const endpoint = openEndpoint({ baseUrl: ${JSON.stringify(server.base)}, concurrency: ${concurrency}, price });
    const kinds = await readBuiltInKinds(["conversation"]);
    await runTeacher(pictures, { kinds, endpoint, model: "m", ...${JSON.stringify(options)} });
  `;
}

/** Runs it, perhaps kills it. True when it ended by itself; rejects with what it said when it failed. */
export function runTeacherProcess(job: Job, server: FakeEndpoint, kill?: Kill): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const stdio: StdioOptions = ["ignore", "ignore", "pipe"];
    const child = spawn(process.execPath, ["--input-type=module", "-e", script(job, server)], { stdio });
    let errors = "";
    child.stderr?.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    const asked = server.asked.length;
    const begun = kill?.after === "start" ? Promise.resolve() : until(() => server.asked.length > asked, child);
    if (kill !== undefined) void begun.then(() => setTimeout(() => child.kill("SIGKILL"), kill.ms));
    child.on("exit", (code, signal) => {
      if (code !== 0 && signal === null) reject(new Error(errors));
      else resolve(code === 0);
    });
  });
}

async function until(holds: () => boolean, child: ChildProcess): Promise<void> {
  while (!holds() && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 1));
}
