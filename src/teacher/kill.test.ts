import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { random } from "../data/random.ts";
import { openLedger, type Ledger } from "../endpoint/ledger.ts";
import { fakeCost, fakeEndpoint, talk, type FakeEndpoint } from "./endpoint.fixture.ts";
import { buildForProcesses, runTeacherProcess, type Job, type Kill } from "./process.fixture.ts";

// KILLS=500 for the long proof
const kills = Number(process.env["KILLS"] ?? 50);

let folder = "";
let server: FakeEndpoint;
beforeAll(async () => {
  buildForProcesses();
  folder = await mkdtemp(join(tmpdir(), "kill-"));
}, 120_000);
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => server.close());

const run = (job: Job, kill?: Kill): Promise<boolean> => runTeacherProcess(job, server, kill);

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
