import { spawn, spawnSync, type ChildProcess, type StdioOptions } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { random } from "../data/random.ts";
import { fakeEndpoint, talk, type FakeEndpoint } from "./endpoint.fixture.ts";
import { openJournal } from "./journal.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const count = 400;
const concurrency = 3;

let folder = "";
let server: FakeEndpoint;
beforeAll(async () => {
  // a child process that can be killed runs what is built
  const built = spawnSync(process.execPath, [join(root, "scripts/build.mjs")], { cwd: root, encoding: "utf8" });
  if (built.error !== undefined) throw built.error;
  folder = await mkdtemp(join(tmpdir(), "kill-"));
  server = await fakeEndpoint((context) => talk(context), 10);
}, 120_000);
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

function script(out: string): string {
  const at = (path: string): string => JSON.stringify(pathToFileURL(join(root, "dist", path)).href);
  return `
    import { openEndpoint } from ${at("endpoint/endpoint.js")};
    import { readBuiltInKinds } from ${at("teacher/kind.js")};
    import { runTeacher } from ${at("teacher/run.js")};
    const pictures = Array.from({ length: ${count} }, (_, i) => ({ id: "p" + i, image: i + ".jpg", captions: ["Picture " + i] }));
    const endpoint = openEndpoint({ baseUrl: ${JSON.stringify(server.base)}, concurrency: ${concurrency} });
    const kinds = await readBuiltInKinds(["conversation"]);
    await runTeacher(pictures, { kinds, endpoint, model: "m", out: ${JSON.stringify(out)} });
  `;
}

/** Runs the child; kills it so long after its first request, or after its start. True when it ended by itself. */
function run(out: string, kill?: { readonly after: "start" | "request"; readonly ms: number }): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const stdio: StdioOptions = ["ignore", "ignore", "pipe"];
    const child = spawn(process.execPath, ["--input-type=module", "-e", script(out)], { stdio });
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

test("kill -9 at random instants: no answer is lost or bought twice, the output is that of an undisturbed run", async () => {
  const calm = join(folder, "calm.json");
  expect(await run(calm)).toBe(true);
  server.asked.length = 0;

  const out = join(folder, "killed.json");
  const stream = random(1, "kills");
  let kills = 0;
  for (let ended = false; !ended;) {
    const journal = await openJournal(`${out}.journal.jsonl`);
    expect(journal.inDoubt.length).toBeLessThanOrEqual(kills * concurrency);
    await journal.close();
    const kept = await answered(`${out}.journal.jsonl`);
    const start = server.asked.length;
    const kill = { after: kills % 4 === 3 ? "start" : "request", ms: stream.int(70) } as const;
    ended = kills < 20 ? await run(out, kill) : await run(out);
    if (!ended) kills++;
    const again = server.asked.slice(start).filter(({ context }) => kept.has(context));
    expect(again).toEqual([]);
  }
  expect(kills).toBe(20);
  expect(await readFile(out, "utf8")).toBe(await readFile(calm, "utf8"));
  // every request beyond the first for a picture is one that a kill cut off
  expect(server.asked.length).toBeLessThanOrEqual(count + kills * concurrency);
}, 120_000);

/** The contexts whose answers a journal holds, read without the code under test. */
async function answered(path: string): Promise<Set<string>> {
  const lines = (await readFile(path, "utf8")).split("\n").filter((line) => line.endsWith("}"));
  const rows = lines.map((line) => JSON.parse(line) as { t: string; id: string });
  const ids = rows.filter(({ t }) => t === "answer").map(({ id }) => id);
  return new Set(ids.map((id) => `Picture ${/\d+/.exec(id)?.[0]}.`));
}
