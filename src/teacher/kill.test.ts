import { spawn, spawnSync, type ChildProcess, type StdioOptions } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { random } from "../data/random.ts";
import { openLedger, type Ledger } from "../endpoint/ledger.ts";
import { fakeCost, fakeEndpoint, fakePrice, talk, type FakeEndpoint } from "./endpoint.fixture.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
// KILLS=500 for the long proof
const kills = Number(process.env["KILLS"] ?? 24);
const concurrency = 4;

let folder = "";
let server: FakeEndpoint;
beforeAll(async () => {
  // a child process that can be killed runs what is built
  const built = spawnSync(process.execPath, [join(root, "scripts/build.mjs")], { cwd: root, encoding: "utf8" });
  if (built.error !== undefined) throw built.error;
  folder = await mkdtemp(join(tmpdir(), "kill-"));
}, 120_000);
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => server.close());

interface Job {
  readonly out: string;
  readonly count: number;
  readonly inDoubt: "idempotent" | "again";
  readonly budget: number;
}

function script({ out, count, inDoubt, budget }: Job): string {
  const at = (path: string): string => JSON.stringify(pathToFileURL(join(root, "dist", path)).href);
  return `
    import { openEndpoint } from ${at("endpoint/endpoint.js")};
    import { readBuiltInKinds } from ${at("teacher/kind.js")};
    import { runTeacher } from ${at("teacher/run.js")};
    const pictures = Array.from({ length: ${count} }, (_, i) => ({ id: "p" + i, image: i + ".jpg", captions: ["Picture " + i] }));
    const price = ${JSON.stringify(fakePrice)};
    const endpoint = openEndpoint({ baseUrl: ${JSON.stringify(server.base)}, concurrency: ${concurrency}, price });
    const kinds = await readBuiltInKinds(["conversation"]);
    const options = ${JSON.stringify({ model: "m", out, inDoubt, budget })};
    await runTeacher(pictures, { kinds, endpoint, ...options });
  `;
}

/** Runs the child; kills it so long after its first request, or after its start. True when it ended by itself. */
function run(job: Job, kill?: { readonly after: "start" | "request"; readonly ms: number }): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const stdio: StdioOptions = ["ignore", "ignore", "pipe"];
    const child = spawn(process.execPath, ["--input-type=module", "-e", script(job)], { stdio });
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

test(`kill -9 at ${kills} random instants: no answer lost, none bought twice, the output as without`, async () => {
  const count = Math.max(200, kills * 10);
  const job = { count, inDoubt: "idempotent", budget: 1e15 } as const;
  server = await fakeEndpoint((context) => talk(context), { delayMs: 8, idempotent: true });
  const calm = join(folder, "calm.json");
  expect(await run({ ...job, out: calm })).toBe(true);
  server.close();

  server = await fakeEndpoint((context) => talk(context), { delayMs: 8, idempotent: true });
  const out = join(folder, "killed.json");
  const stream = random(1, "kills");
  let done = 0;
  for (let ended = false; !ended;) {
    const kept = await answered(`${out}.ledger.jsonl`);
    const start = server.asked.length;
    const kill = { after: done % 4 === 3 ? "start" : "request", ms: stream.int(80) } as const;
    ended = await run({ ...job, out }, done < kills ? kill : undefined);
    if (!ended) done++;
    const again = server.asked.slice(start).filter(({ context }) => kept.has(context));
    expect(again).toEqual([]);
  }
  expect(done).toBeGreaterThan(kills / 2);
  expect(await readFile(out, "utf8")).toBe(await readFile(calm, "utf8"));
  const totals = await books(`${out}.ledger.jsonl`);
  expect([server.charged(), totals.spent, totals.doubt]).toEqual([count * fakeCost, count * fakeCost, 0]);
}, 1_800_000);

test("the budget holds through kills, where the endpoint charges every request again", async () => {
  server = await fakeEndpoint((context) => talk(context), { delayMs: 8, times: 100 });
  const stream = random(2, "kills");
  const out = join(folder, "budget.json");
  const job = { out, count: 2000, inDoubt: "again" } as const;
  await run({ ...job, budget: 1e15 }, { after: "request", ms: 20 });
  const reserved = await worstCase(`${out}.ledger.jsonl`);
  // room for some answers and for what the crashes leave in doubt
  const budget = 40 * reserved;
  for (let kills = 0; kills < 5; kills++) {
    await run({ ...job, budget }, { after: "request", ms: stream.int(80) });
    const totals = await books(`${out}.ledger.jsonl`);
    expect(totals.spent + totals.doubt).toBeLessThanOrEqual(budget);
    expect(server.charged()).toBeLessThanOrEqual(totals.spent + totals.doubt);
    expect(server.charged()).toBeGreaterThanOrEqual(totals.spent);
  }
  // what is left is spent to the last request that fits
  expect(await run({ ...job, budget })).toBe(true);
  const totals = await books(`${out}.ledger.jsonl`);
  expect(totals.spent + totals.doubt).toBeLessThanOrEqual(budget);
  expect(totals.spent + totals.doubt).toBeGreaterThan(budget - reserved);
  expect(server.charged()).toBeLessThanOrEqual(budget);
}, 120_000);

async function books(path: string): Promise<Ledger["totals"]> {
  const ledger = await openLedger(path, { readOnly: true });
  await ledger.close();
  return ledger.totals;
}

async function worstCase(path: string): Promise<number> {
  const ledger = await openLedger(path, { readOnly: true });
  let most = 0;
  for await (const row of ledger.rows()) if (row.t === "sent") most = Math.max(most, row.cost);
  await ledger.close();
  return most;
}

/** The contexts whose answers a ledger holds, read without the code under test. */
async function answered(path: string): Promise<Set<string>> {
  const lines = (await readFile(path, "utf8").catch(() => "")).split("\n").filter((line) => line.endsWith("}"));
  const rows = lines.map((line) => JSON.parse(line) as { t: string; id: string });
  const ids = rows.filter(({ t }) => t === "answer").map(({ id }) => id);
  return new Set(ids.map((id) => `Picture ${/\d+/.exec(id)?.[0]}.`));
}
