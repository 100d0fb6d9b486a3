import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openEndpoint, type Endpoint, type EndpointOptions } from "../endpoint/endpoint.ts";
import { openLedger } from "../endpoint/ledger.ts";
import type { LedgerRow } from "../endpoint/ledger-rows.ts";
import { fakeCost, fakeEndpoint, fakePrice, talk, type FakeEndpoint } from "./endpoint.fixture.ts";
import { readBuiltInKinds } from "./kind.ts";
import { ledgerPath, runTeacher, type TeacherOptions, type TeacherSummary } from "./run.ts";

const kinds = await readBuiltInKinds(["conversation"]);

let folder = "";
let out = "";
let server: FakeEndpoint;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "faults-"));
  out = join(folder, "instruct.json");
});
afterEach(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

const picturesOf = (count: number): { id: string; image: string; captions: string[] }[] =>
  Array.from({ length: count }, (_, i) => ({ id: `p${i}`, image: `${i}.jpg`, captions: [`Picture ${i}`] }));

function client(more: Partial<EndpointOptions> = {}): Endpoint {
  const limits = { attempts: 4, backoffMs: 5, timeoutMs: 1500, concurrency: 8 };
  return openEndpoint({ baseUrl: server.base, price: fakePrice, ...limits, ...more });
}

function teach(count: number, more: Partial<TeacherOptions> = {}): Promise<TeacherSummary> {
  return runTeacher(picturesOf(count), { kinds, endpoint: client(), model: "m", out, ...more });
}

async function rows(): Promise<LedgerRow[]> {
  const ledger = await openLedger(ledgerPath(out), { readOnly: true });
  const found: LedgerRow[] = [];
  for await (const row of ledger.rows()) found.push(row);
  await ledger.close();
  return found;
}

type Fault = (response: ServerResponse, charge: () => string) => void;
const json = { "content-type": "application/json" };
const cut: Fault = (response, charge) => {
  const body = charge();
  response.writeHead(200, { ...json, "content-length": body.length }).write(body.slice(0, 20));
  setTimeout(() => response.destroy(), 5);
};

/** What the endpoint does to the first attempt; whether it charged for it; the code of the failed row. */
const faults: Readonly<Record<string, { fault: Fault; code?: string; doubt?: boolean; drop?: string }>> = {
  "429 with Retry-After": {
    fault: (r) => r.writeHead(429, { "retry-after": "0.05" }).end('{"error":{"message":"slow"}}'),
    code: "ENDPOINT_RATE",
  },
  "429 without": { fault: (r) => r.writeHead(429).end(), code: "ENDPOINT_RATE" },
  "500": { fault: (r) => r.writeHead(500).end("oops"), code: "ENDPOINT_SERVER" },
  hang: { fault: (_r, charge) => void charge(), code: "ENDPOINT_TIMEOUT", doubt: true },
  "reset before the body": { fault: (r, charge) => (charge(), r.destroy()), code: "ENDPOINT_BROKEN", doubt: true },
  "reset in the body": { fault: cut, code: "ENDPOINT_BROKEN", doubt: true },
  "reset after the body": {
    fault: (r, charge) => {
      r.writeHead(200, json).end(charge(), () => setTimeout(() => r.socket?.destroy(), 1));
    },
  },
  "length too long": {
    fault(r, charge) {
      const body = charge();
      r.writeHead(200, { ...json, "content-length": body.length + 9 }).write(body);
      setTimeout(() => r.destroy(), 5);
    },
    code: "ENDPOINT_BROKEN",
    doubt: true,
  },
  "length too short": {
    fault(r, charge) {
      const body = charge();
      const { socket } = r;
      socket?.end(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length - 9}\r\n\r\n${body}`,
      );
    },
    code: "ENDPOINT_BROKEN",
    doubt: true,
  },
  "malformed JSON": {
    fault: (r, charge) => r.writeHead(200, json).end(charge().slice(0, -4)),
    code: "ENDPOINT_NONSENSE",
    doubt: true,
  },
  "error under 200": {
    fault: (r) => r.writeHead(200, json).end('{"error":{"code":503,"message":"full"}}'),
    code: "ENDPOINT_SERVER",
  },
  "error text as content": {
    fault: (r, charge) => r.writeHead(200, json).end(charge().replace(/"Question:[^"]*"/, '"ERROR: rate limit"')),
    drop: "error text",
  },
};
const names = Object.keys(faults);

/** Every fault strikes the first attempt at its share of the pictures. */
function faulty(): Promise<FakeEndpoint> {
  const seen = new Set<string>();
  return fakeEndpoint((context, _count, response, charge) => {
    const i = Number(/\d+/.exec(context)?.[0]);
    const fault = faults[names[i % (names.length + 1)] ?? ""];
    if (fault === undefined || seen.has(context)) return talk(context);
    seen.add(context);
    fault.fault(response, charge);
    return undefined;
  });
}

/** Holds the ledger against the endpoint's own count, request by request. */
async function audit(): Promise<{ failed: Record<string, number>; doubts: number }> {
  const all = await rows();
  const failed: Record<string, number> = {};
  const nonces = new Map<string, Set<string>>();
  const [known, doubt] = [new Map<string, number>(), new Map<string, number>()];
  const add = (sums: Map<string, number>, { key, cost }: LedgerRow): unknown =>
    sums.set(key, (sums.get(key) ?? 0) + cost);
  for (const row of all) {
    if (row.t === "sent") nonces.set(row.key, (nonces.get(row.key) ?? new Set()).add(row.nonce));
    if (row.t === "answer") add(known, row);
    if (row.t !== "failed") continue;
    failed[row.code] = (failed[row.code] ?? 0) + 1;
    if (row.doubt) add(doubt, row);
    else expect(row.cost).toBe(0);
  }
  let charges = 0;
  for (const [key, names] of nonces) {
    const charged = [...names].reduce((sum, nonce) => sum + (server.charges.get(nonce) ?? 0), 0);
    expect(charged).toBeGreaterThanOrEqual(known.get(key) ?? 0);
    expect(charged).toBeLessThanOrEqual((known.get(key) ?? 0) + (doubt.get(key) ?? 0));
    charges += charged;
  }
  // each attempt has its intent and its outcome, and the endpoint charged for nothing else
  const outcomes = all.filter(({ t }) => t === "answer" || t === "failed");
  expect(all.filter(({ t }) => t === "sent")).toHaveLength(outcomes.length);
  expect(charges).toBe(server.charged());
  return { failed, doubts: all.filter((row) => row.t === "failed" && row.doubt).length };
}

const each = 4;
const count = each * (names.length + 1);
const doubtful = each * names.filter((name) => faults[name]?.doubt).length;

describe("a catalogue of faults, charged by the endpoint", () => {
  test("what may have been charged is listed, not asked again; the user's word gets the rest", async () => {
    server = await faulty();
    const summary = await teach(count);
    const { failed, doubts } = await audit();
    const expected: Record<string, number> = {};
    for (const { code } of Object.values(faults)) if (code !== undefined) expected[code] = (expected[code] ?? 0) + each;
    expect(failed).toEqual(expected);
    expect([doubts, summary.inDoubt.length]).toEqual([doubtful, doubtful]);
    // every row is accounted for: used, dropped by reason, or in doubt
    expect(summary.dropped).toEqual({ "error text": each });
    expect(summary.accepted + each + doubtful).toBe(count);
    expect(summary.spent).toBe(fakeCost * (count - doubtful));
    const again = await teach(count, { inDoubt: "again" });
    expect([again.accepted, again.inDoubt]).toEqual([count - each, []]);
    await audit();
  });

  test("asked again at once where the user says so", async () => {
    server = await faulty();
    const summary = await teach(count, { inDoubt: "again" });
    // a body that was no chat completion is not worth a second try by itself
    const nonsense = each;
    expect(summary.failed).toEqual({ ENDPOINT_NONSENSE: nonsense });
    expect(summary.accepted).toBe(count - each - nonsense);
    await audit();
  });

  test.each([1, 3, 16])("the budget holds at %i at once, whatever goes wrong", async (concurrency) => {
    server = await faulty();
    const endpoint = client({ concurrency, timeoutMs: 60 });
    const options = { endpoint, inDoubt: "again", budget: 1e15 } as const;
    const once = await teach(1, options).then(rows);
    const reserved = once.find(({ t }) => t === "sent")?.cost ?? 0;
    const budget = reserved * 8;
    const summary = await teach(count * 20, { ...options, budget });
    expect(summary.budgetSpent).toBe(summary.accepted < count * 18);
    expect(summary.spent + summary.doubt).toBeLessThanOrEqual(budget);
    expect(server.charged()).toBeLessThanOrEqual(budget);
    await audit();
  });
});

test("an endpoint that does not count is charged at the most that it can be", async () => {
  server = await fakeEndpoint((context, _count, response) => {
    response.end(JSON.stringify({ choices: [{ message: { content: talk(context) } }] }));
    return undefined;
  });
  const summary = await teach(3);
  const [answer] = (await rows()).filter((row) => row.t === "answer");
  expect(answer).toMatchObject({ uncounted: true });
  expect(answer?.cost).toBeGreaterThan(fakeCost);
  expect(summary.spent).toBe((answer?.cost ?? 0) * 3);
});

test("a budget below one request is an error before anything is sent", async () => {
  server = await fakeEndpoint((context) => talk(context));
  await expect(teach(3, { budget: 1000 })).rejects.toMatchObject({ code: "BUDGET_SPENT", exitCode: 2 });
  expect(server.asked).toEqual([]);
});
