import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openEndpoint, type Endpoint } from "../endpoint/endpoint.ts";
import { openLedger, type Ledger } from "../endpoint/ledger.ts";
import { makeDatabase, postgres, type Database } from "../queue/postgres.fixture.ts";
import { withShared, type Meeting } from "../queue/shared.ts";
import { fakeCost, fakeEndpoint, fakePrice, talk, type FakeEndpoint } from "./endpoint.fixture.ts";
import { readBuiltInKinds } from "./kind.ts";
import { openJudge } from "./opinions.ts";
import { ledgerPath, runTeacher, type TeacherOptions, type TeacherSummary } from "./run.ts";

const kinds = await readBuiltInKinds(["conversation"]);
const picturesOf = (count: number): { id: string; image: string; captions: string[] }[] =>
  Array.from({ length: count }, (_, i) => ({ id: `p${i}`, image: `${i}.jpg`, captions: [`Picture ${i}`] }));

describe.skipIf(!postgres.present)("many workers (needs PostgreSQL)", () => {
  let folder = "";
  let server: FakeEndpoint;
  let database: Database;
  let meeting: Meeting;
  let meetings = 0;
  beforeAll(async () => {
    database = await makeDatabase();
  });
  afterAll(() => database.drop());
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "queue-"));
    meeting = { url: database.url, name: `meeting ${meetings++}`, leaseMs: 30_000 };
  });
  afterEach(async () => {
    server.close();
    await rm(folder, { recursive: true });
  });

  const client = (): Endpoint =>
    openEndpoint({
      baseUrl: server.base,
      price: fakePrice,
      concurrency: 4,
      attempts: 2,
      backoffMs: 1,
      timeoutMs: 20_000,
    });
  const at = (name: string): string => join(folder, name);

  function teach(count: number, out: string, more: Partial<TeacherOptions> = {}): Promise<TeacherSummary> {
    const asking = { kinds, endpoint: client(), model: "m", out: at(out), queue: meeting, ...more };
    return runTeacher(picturesOf(count), asking);
  }

  async function alone(count: number, more: Partial<TeacherOptions> = {}): Promise<Buffer> {
    const { kinds: asked = kinds, ...rest } = more;
    await runTeacher(picturesOf(count), {
      kinds: asked,
      endpoint: client(),
      model: "m",
      out: at("alone.json"),
      ...rest,
    });
    server.asked.length = 0;
    server.charges.clear();
    return readFile(at("alone.json"));
  }

  async function copyOf(out: string): Promise<Ledger> {
    const ledger = await openLedger(ledgerPath(at(out)), { readOnly: true });
    await ledger.close();
    return ledger;
  }

  test("share the work: each request once, and each writes what one alone writes", async () => {
    server = await fakeEndpoint((context) => talk(context), 10);
    const expected = await alone(80);
    const summaries = await Promise.all([teach(80, "one.json"), teach(80, "two.json")]);
    expect(server.asked).toHaveLength(80);
    for (const out of ["one.json", "two.json"]) expect(await readFile(at(out))).toEqual(expected);
    const sums = { accepted: 80, failed: {}, inDoubt: [], budgetSpent: false, spent: 80 * fakeCost, doubt: 0 };
    for (const summary of summaries) expect(summary).toMatchObject(sums);
    expect((await copyOf("two.json")).totals).toMatchObject({ answers: 80, spent: 80 * fakeCost, doubt: 0 });

    // again, a third: nothing is bought
    expect(await teach(80, "three.json")).toMatchObject(sums);
    expect(server.asked).toHaveLength(80);
    expect(await readFile(at("three.json"))).toEqual(expected);
    // and the copy is enough to go on without the database
    const { queue, ...local } = { queue: meeting, kinds, endpoint: client(), model: "m", out: at("one.json") };
    expect(await runTeacher(picturesOf(81), local)).toMatchObject({ accepted: 81 });
    expect(server.asked).toHaveLength(81);
    await expect(teach(80, "one.json")).rejects.toMatchObject({ code: "QUEUE_LEDGER" });
    expect(queue).toBe(meeting);
  });

  test("a number of rows: no more is asked than it takes, and the file is the same", async () => {
    // every third answer is dropped
    const reply = (context: string): string => (Number(/\d+/.exec(context)?.[0]) % 3 === 1 ? "no form" : talk(context));
    server = await fakeEndpoint(reply, 5);
    const expected = await alone(100, { rows: 20 });
    const summaries = await Promise.all([teach(100, "one.json", { rows: 20 }), teach(100, "two.json", { rows: 20 })]);
    for (const out of ["one.json", "two.json"]) expect(await readFile(at(out))).toEqual(expected);
    expect(summaries.map(({ accepted }) => accepted)).toEqual([20, 20]);
    expect(server.asked.length).toBeLessThan(36);
    expect(new Set(server.asked.map(({ context }) => context)).size).toBe(server.asked.length);
  });

  test("opinions are asked once too", async () => {
    const reply = (context: string): string =>
      context.includes("The talk") ? `Verdict: ${context.includes("Picture 7.") ? "wrong" : "right"}` : talk(context);
    server = await fakeEndpoint(reply, 5);
    const opinions = [{ opinion: await openJudge("judge"), endpoint: client() }];
    const expected = await alone(20, { opinions });
    const summaries = await Promise.all([teach(20, "one.json", { opinions }), teach(20, "two.json", { opinions })]);
    for (const out of ["one.json", "two.json"]) expect(await readFile(at(out))).toEqual(expected);
    expect(summaries[0]).toMatchObject({ accepted: 19, dropped: { judge: 1 } });
    expect(server.asked).toHaveLength(40);
  });

  test("one budget: together they spend no more, and what is left over buys nothing", async () => {
    server = await fakeEndpoint((context) => talk(context), { delayMs: 5, times: 20 });
    const before = await teach(1, "first.json");
    const [worst] = await database.query<{ most: string }>(
      "select max(reserved) as most from llava.attempt where ledger = $1",
      [meeting.name],
    );
    const reserved = Number(worst?.most);
    const budget = before.spent + 8 * reserved;
    const summaries = await Promise.all([teach(400, "one.json", { budget }), teach(400, "two.json", { budget })]);
    for (const { budgetSpent, spent, doubt } of summaries)
      expect([budgetSpent, spent + doubt <= budget]).toEqual([true, true]);
    expect(server.charged()).toBeLessThanOrEqual(budget);
    expect(server.charged()).toBeGreaterThan(budget - reserved);
    const [total] = await database.query<{ all: string }>(
      "select spent + doubt + reserved as all from llava.ledger where name = $1",
      [meeting.name],
    );
    expect(Number(total?.all)).toBe(server.charged());
    meeting = { ...meeting, name: "poor" };
    await expect(teach(3, "poor.json", { budget: 1000 })).rejects.toMatchObject({ code: "BUDGET_SPENT" });
  });

  test("failures are counted for all, what is in doubt waits for consent, and a later run asks for the rest", async () => {
    let broken = true;
    server = await fakeEndpoint((context, _count, response) => {
      const i = Number(/\d+/.exec(context)?.[0]);
      if (!broken || i > 1) return talk(context);
      if (i === 0) response.writeHead(400).end('{"error":{"message":"too long"}}');
      else response.destroy();
      return undefined;
    });
    const [one] = await Promise.all([teach(12, "one.json"), teach(12, "two.json")]);
    expect(one).toMatchObject({ accepted: 10, failed: { ENDPOINT_REFUSED: 1, ENDPOINT_BROKEN: 1 } });
    expect(one.inDoubt).toEqual(["p1-conversation"]);
    broken = false;
    expect(await teach(12, "one.json")).toMatchObject({ accepted: 11, failed: {}, inDoubt: ["p1-conversation"] });
    expect(await withShared(meeting, (ledger) => ledger.consent())).toMatchObject({ requests: 1 });
    expect(await teach(12, "one.json")).toMatchObject({ accepted: 12, inDoubt: [] });
  });

  test("a worker whose endpoint is unusable ends; the other does its part", async () => {
    server = await fakeEndpoint((context) => talk(context), 20);
    const down = openEndpoint({ baseUrl: "http://127.0.0.1:1/v1", price: fakePrice, attempts: 1 });
    const [broken, well] = await Promise.allSettled([teach(40, "one.json", { endpoint: down }), teach(40, "two.json")]);
    expect(broken).toMatchObject({ status: "rejected", reason: { code: "ENDPOINT_DOWN" } });
    expect(well).toMatchObject({ status: "fulfilled", value: { accepted: 40, failed: {} } });
    expect(server.asked).toHaveLength(40);
  });

  test("an interrupted worker leaves the rest to the others", async () => {
    server = await fakeEndpoint((context) => talk(context), 20);
    const controller = new AbortController();
    const onProgress = (): void => controller.abort(new Error("enough"));
    const [stopped, other] = await Promise.allSettled([
      teach(60, "one.json", { signal: controller.signal, onProgress }),
      teach(60, "two.json"),
    ]);
    expect(stopped).toMatchObject({ status: "rejected", reason: { message: "enough" } });
    expect(other).toMatchObject({ status: "fulfilled", value: { accepted: 60, inDoubt: [], spent: 60 * fakeCost } });
    expect(server.asked).toHaveLength(60);
  });
});
