import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { random } from "../data/random.ts";
import { makeDatabase, postgres, type Database } from "../queue/postgres.fixture.ts";
import { fakeCost, fakeEndpoint, talk, type FakeEndpoint } from "./endpoint.fixture.ts";
import { buildForProcesses, runTeacherProcess, type Job, type Kill } from "./process.fixture.ts";

// KILLS=60 for the long proof
const kills = Number(process.env["KILLS"] ?? 6);
const workers = ["one", "two"] as const;

describe.skipIf(!postgres.present)("two workers, killed (needs PostgreSQL)", () => {
  let folder = "";
  let server: FakeEndpoint;
  let database: Database;
  beforeAll(async () => {
    buildForProcesses();
    folder = await mkdtemp(join(tmpdir(), "queue-kill-"));
  }, 120_000);
  beforeEach(async () => {
    database = await makeDatabase();
  });
  afterAll(() => rm(folder, { recursive: true }));
  afterEach(async () => {
    server.close();
    await database.drop();
  });

  /** Both at once, each killed and started again until it may end by itself. Returns how many were killed. */
  async function runKilled(job: Omit<Job, "out">, seed: number): Promise<number> {
    let killed = 0;
    await Promise.all(
      workers.map(async (name, i) => {
        const stream = random(seed, "kills", name);
        for (let ended = false; !ended;) {
          const left = kills - killed;
          const kill: Kill = {
            after: stream.chance(0.25) ? "start" : "request",
            ms: stream.int(left % 2 === i ? 400 : 80),
          };
          ended = await runTeacherProcess(
            { ...job, out: join(folder, `${name}.json`) },
            server,
            left > 0 ? kill : undefined,
          );
          if (!ended) killed++;
        }
      }),
    );
    return killed;
  }

  interface Answer {
    readonly key: string;
    readonly sum: string;
  }
  const answers = (): Promise<Answer[]> =>
    database.query<Answer>("select key, md5(line) as sum from llava.attempt where state = 'answer'").catch(() => []);

  test(`kill -9 at ${kills} random instants: no answer lost, none bought twice, both outputs as one alone`, async () => {
    const count = Math.max(200, kills * 15);
    const job = { count, inDoubt: "idempotent", budget: 1e15 } as const;
    server = await fakeEndpoint((context) => talk(context), { idempotent: true });
    const calm = join(folder, "calm.json");
    expect(await runTeacherProcess({ ...job, out: calm }, server)).toBe(true);
    server.close();

    server = await fakeEndpoint((context) => talk(context), { delayMs: 20, idempotent: true });
    const seen = new Map<string, string>();
    const look = setInterval(
      () => void answers().then((rows) => rows.forEach(({ key, sum }) => seen.set(key, sum))),
      50,
    );
    const killed = await runKilled({ ...job, queue: { url: database.url, name: "x", leaseMs: 500 } }, 1);
    clearInterval(look);
    expect(killed).toBeGreaterThan(kills / 2);
    const expected = await readFile(calm, "utf8");
    for (const name of workers) expect(await readFile(join(folder, `${name}.json`), "utf8")).toBe(expected);

    // what was acknowledged at any time is there still, as it was
    const kept = new Map((await answers()).map(({ key, sum }) => [key, sum]));
    expect(kept.size).toBe(count);
    for (const [key, sum] of seen) expect(kept.get(key)).toBe(sum);
    expect(seen.size).toBeGreaterThan(0);
    // each picture under one name, each name charged once
    const names = new Map<string, Set<string>>();
    for (const { context, nonce } of server.asked) names.set(context, (names.get(context) ?? new Set()).add(nonce));
    expect([...names.values()].filter(({ size }) => size > 1)).toEqual([]);
    const [money] = await database.query<object>(
      "select spent::float8, doubt::float8, reserved::float8 from llava.ledger",
    );
    expect([server.charged(), money]).toEqual([count * fakeCost, { spent: count * fakeCost, doubt: 0, reserved: 0 }]);
  }, 1_800_000);

  test("the budget holds through kills, where the endpoint charges every request again", async () => {
    server = await fakeEndpoint((context) => talk(context), { delayMs: 20, times: 100 });
    const queue = { url: database.url, name: "x", leaseMs: 500 };
    const job = { count: 2000, inDoubt: "again", queue } as const;
    const out = join(folder, "first.json");
    await runTeacherProcess({ ...job, out, count: 1, budget: 1e15 }, server);
    const [worst] = await database.query<{ most: number }>("select max(reserved)::float8 as most from llava.attempt");
    const reserved = worst?.most ?? 0;
    const budget = 60 * reserved;
    const over: number[] = [];
    const look = setInterval(() => {
      const text = "select (spent + doubt + reserved)::float8 as all from llava.ledger";
      void database.query<{ all: number }>(text).then(([row]) => over.push((row?.all ?? 0) - budget));
      over.push(server.charged() - budget);
    }, 20);
    await runKilled({ ...job, budget }, 2);
    clearInterval(look);
    expect(over.length).toBeGreaterThan(10);
    expect(Math.max(...over)).toBeLessThanOrEqual(0);
    const [money] = await database.query<Record<"spent" | "doubt" | "reserved", number>>(
      "select spent::float8, doubt::float8, reserved::float8 from llava.ledger",
    );
    // what is left is spent to the last request that fits
    expect((money?.spent ?? 0) + (money?.doubt ?? 0)).toBeGreaterThan(budget - reserved);
    expect(money?.reserved).toBe(0);
    expect(server.charged()).toBeGreaterThanOrEqual(money?.spent ?? 0);
    expect(server.charged()).toBeLessThanOrEqual((money?.spent ?? 0) + (money?.doubt ?? 0));
  }, 300_000);
});
