import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openBatchApi } from "../endpoint/batch-api.ts";
import { openEndpoint } from "../endpoint/endpoint.ts";
import { openLedger } from "../endpoint/ledger.ts";
import { batchCost, fakeBatches, type FakeBatches } from "./batch.fixture.ts";
import { fakePrice } from "./endpoint.fixture.ts";
import { readBuiltInKinds } from "./kind.ts";
import { ledgerPath, runTeacher, type TeacherOptions, type TeacherSummary } from "./run.ts";

const kinds = await readBuiltInKinds(["conversation"]);
const pictures = Array.from({ length: 25 }, (_, i) => ({ id: `p${i}`, image: `${i}.jpg`, captions: [`Picture ${i}`] }));

let folder = "";
let out = "";
let server: FakeBatches;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "batch-"));
  out = join(folder, "instruct.json");
  server = await fakeBatches();
});
afterEach(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

function teach(more: Partial<TeacherOptions> = {}): Promise<TeacherSummary> {
  const endpoint = openEndpoint({ baseUrl: server.base, price: { ...fakePrice, batch: 0.5 } });
  const api = openBatchApi({ baseUrl: server.base, backoffMs: 1, timeoutMs: 3000 });
  const batch = { api, batchSize: 10, pollMs: 5 };
  return runTeacher(pictures, { kinds, endpoint, model: "m", out, batch, ...more });
}

async function totals(): Promise<{ spent: number; doubt: number; queued: number; batches: number }> {
  const ledger = await openLedger(ledgerPath(out), { readOnly: true });
  const { totals, batches } = ledger;
  await ledger.close();
  return { spent: totals.spent, doubt: totals.doubt, queued: totals.queued, batches: batches.size };
}

const numberIn = (context: string): number => Number(/\d+/.exec(context)?.[0]);

test("answers come back by key, in whatever order, at half the price; again: nothing is bought", async () => {
  server.faults = { looks: 2 };
  const summary = await teach();
  expect(summary).toMatchObject({ accepted: 25, failed: {}, spent: 25 * batchCost, doubt: 0, budgetSpent: false });
  expect(server.batches).toHaveLength(3);
  const first = await readFile(out);
  expect((JSON.parse(first.toString()) as { id: string }[]).map(({ id }) => id)).toEqual(
    pictures.map(({ id }) => `${id}-conversation`),
  );
  await teach();
  expect([server.batches.length, server.charged]).toEqual([3, 25 * batchCost]);
  expect(await readFile(out)).toEqual(first);
});

test("rows that are missing, doubled, expired, refused or no answer: each is booked by its reason", async () => {
  const fates = ["missing", "twice", "expired", "refused", "nonsense"] as const;
  server.faults = { fate: (context) => fates[numberIn(context)] };
  const summary = await teach();
  expect(summary.failed).toEqual({ BATCH_MISSING: 1, BATCH_EXPIRED: 1, BATCH_ERROR: 1, ENDPOINT_NONSENSE: 1 });
  // the endpoint says how many it answered: the missing one is not among them
  expect(summary).toMatchObject({ accepted: 21, inDoubt: ["p4-conversation"], spent: 21 * batchCost });
  const { spent, doubt } = await totals();
  expect(server.charged).toBeGreaterThan(spent);
  expect(server.charged).toBeLessThanOrEqual(spent + doubt);
  server.faults = {};
  expect((await teach({ inDoubt: "again" })).accepted).toBe(25);
  expect([...server.worked].filter(([, times]) => times > 1).map(([context]) => numberIn(context))).toEqual([4]);
});

test.each(["expired", "cancelled"])(
  "a batch that ended as %s: what it answered is used, the rest is asked again",
  async (status) => {
    server.faults = { status, fate: (context) => (numberIn(context) % 2 === 0 ? "expired" : undefined) };
    const summary = await teach();
    expect(summary).toMatchObject({ accepted: 12, failed: { BATCH_EXPIRED: 13 }, doubt: 0 });
    server.faults = {};
    expect((await teach()).accepted).toBe(25);
    expect(server.charged).toBe(25 * batchCost);
  },
);

test("a batch that was refused after it was made costs nothing and says why", async () => {
  server.faults = { status: "failed" };
  const summary = await teach();
  expect(summary).toMatchObject({ accepted: 0, failed: { BATCH_FAILED: 25 }, spent: 0, doubt: 0 });
  expect(await readFile(ledgerPath(out), "utf8")).toContain("token_limit_exceeded");
  server.faults = {};
  expect((await teach()).accepted).toBe(25);
});

test("a batch whose making was not heard of is found by its name, never made twice", async () => {
  server.faults = { dropCreated: true };
  expect((await teach()).accepted).toBe(25);
  expect([server.batches.length, server.charged]).toEqual([3, 25 * batchCost]);
});

test("a run that ends between making and hearing: the next collects what was made, and buys nothing twice", async () => {
  server.faults = { dropCreated: true, deaf: true };
  await expect(teach()).rejects.toMatchObject({ code: "ENDPOINT_BROKEN" });
  expect(server.batches).toHaveLength(1);
  expect(await totals()).toMatchObject({ spent: 0, batches: 1 });
  expect((await totals()).queued).toBeGreaterThan(10 * batchCost);
  server.faults = {};
  expect((await teach()).accepted).toBe(25);
  expect([server.batches.length, server.charged]).toEqual([3, 25 * batchCost]);
  expect(await totals()).toEqual({ spent: 25 * batchCost, doubt: 0, queued: 0, batches: 0 });
});

test("an interruption leaves batches to the endpoint; the next run collects them", async () => {
  server.faults = { looks: 1e9 };
  const controller = new AbortController();
  const watch = setInterval(() => server.batches.length === 3 && controller.abort(new Error("enough")), 5);
  await expect(teach({ signal: controller.signal })).rejects.toThrow("enough");
  clearInterval(watch);
  server.faults = {};
  expect((await teach()).accepted).toBe(25);
  expect([server.batches.length, server.charged]).toEqual([3, 25 * batchCost]);
});

test("an interruption before a batch is made: the next run asks for its requests at once", async () => {
  const controller = new AbortController();
  server.faults = { onFile: () => controller.abort(new Error("enough")) };
  await expect(teach({ signal: controller.signal })).rejects.toThrow("enough");
  expect([(await totals()).batches, server.batches.length]).toEqual([1, 0]);
  server.faults = {};
  const summary = await teach();
  expect(summary).toMatchObject({ accepted: 25, failed: {}, spent: 25 * batchCost, doubt: 0 });
});

test("a budget bounds what is under way, and what comes back buys more", async () => {
  await expect(teach({ budget: 1000 })).rejects.toMatchObject({ code: "BUDGET_SPENT" });
  expect(server.batches).toEqual([]);
  server.faults = { status: "failed" };
  await teach();
  const ledger = await openLedger(ledgerPath(out), { readOnly: true });
  let worst = 0;
  for await (const row of ledger.rows()) if (row.t === "queued") worst = Math.max(worst, row.cost);
  await ledger.close();
  server.faults = {};
  const budget = 3 * worst;
  const summary = await teach({ budget });
  expect(summary.accepted).toBe(25);
  expect(server.batches.length).toBeGreaterThan(5);
  expect(server.charged).toBeLessThanOrEqual(budget);
});

test("a number of rows: no more is asked than it takes", async () => {
  // every second answer of the first ten is of no use
  server.faults = {
    fate: (context) => (numberIn(context) < 10 && numberIn(context) % 2 === 0 ? "useless" : undefined),
  };
  const summary = await teach({ rows: 10 });
  expect(summary.accepted).toBe(10);
  // ten, of which five were good; ten more for the five that were missing
  expect(server.charged).toBe(20 * batchCost);
  const first = await readFile(out);
  expect((await teach({ rows: 10 })).accepted).toBe(10);
  expect([server.charged, await readFile(out)]).toEqual([20 * batchCost, first]);
});
