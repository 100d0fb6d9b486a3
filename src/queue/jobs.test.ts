import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ChatRequest } from "../endpoint/wire.ts";
import { connect, queueSchema, type Connection } from "./connection.ts";
import { JobQueue, planOf, type Job } from "./jobs.ts";
import { takeLease } from "./lease.ts";
import { makeDatabase, postgres, type Database } from "./postgres.fixture.ts";
import { SharedLedger } from "./shared-ledger.ts";

const chat = (last: string): ChatRequest => ({
  model: "m",
  maxTokens: 9,
  messages: [
    { role: "system", content: "long words" },
    { role: "user", content: last },
  ],
});
const jobs = (count: number): Job[] =>
  Array.from({ length: count }, (_, i) => ({ key: `k${i}`, id: `r${i}`, chat: chat(`picture ${i}\nwith "words"`) }));

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
}

test("a plan is named by its requests in their order", async () => {
  const name = (ledger: string, keys: string[]): Promise<string> =>
    planOf(
      ledger,
      (async function* () {
        yield* keys;
      })(),
    );
  expect(await name("x", ["a", "b"])).toBe(await name("x", ["a", "b"]));
  const others = await Promise.all([
    name("x", ["a", "b"]),
    name("x", ["b", "a"]),
    name("y", ["a", "b"]),
    name("x", ["a"]),
  ]);
  expect(new Set(others).size).toBe(4);
});

describe.skipIf(!postgres.present)("jobs (needs PostgreSQL)", () => {
  let database: Database;
  let connection: Connection;
  beforeAll(async () => {
    database = await makeDatabase();
    connection = await connect(database.url);
  });
  afterAll(async () => {
    await connection.close();
    await database.drop();
  });
  const ignore = (): void => undefined;

  test("each is done once, by whichever worker, with the words it was added with", async () => {
    const [one, two] = [new JobQueue(connection), new JobQueue(connection)];
    // both plan the same
    await Promise.all([one.add("llava:a", jobs(60)), two.add("llava:a", jobs(60))]);
    await one.add("llava:other", jobs(3));
    expect(await one.left("llava:a")).toBe(60);
    expect(await database.query("select count(*)::int as n from llava.prompt")).toEqual([{ n: 1 }]);
    const done: Job[] = [];
    const handle = async (job: Job): Promise<boolean> => {
      await new Promise((resolve) => setTimeout(resolve, 2));
      return done.push(job) > 0;
    };
    const working = await Promise.all([one, two].map((queue) => queue.work("llava:a", 3, handle, ignore)));
    await until(async () => (await one.left("llava:a")) === 0);
    await Promise.all(working.map(({ stop }) => stop()));
    expect(done.sort((a, b) => Number(a.key.slice(1)) - Number(b.key.slice(1)))).toEqual(jobs(60));
    expect(await one.left("llava:other")).toBe(3);
  });

  test("one that is given back comes again at once when it is woken", async () => {
    const queue = new JobQueue(connection);
    await queue.add("llava:b", jobs(1));
    let tries = 0;
    const working = await queue.work("llava:b", 1, () => Promise.resolve(++tries > 1), ignore);
    await until(() => tries === 1);
    await until(async () => {
      await queue.wake("llava:b");
      return tries === 2;
    });
    await until(async () => (await queue.left("llava:b")) === 0);
    await working.stop();
    expect(tries).toBe(2);
  });

  test("what a dead worker held goes back; what a living one holds stays", async () => {
    const queue = new JobQueue(connection);
    const ledger = await SharedLedger.open(connection.pool, "held");
    const lease = await takeLease(connection, ledger.name, {
      leaseMs: 300,
      onError: (error) => expect.fail(String(error)),
    });
    await queue.add("llava:c", jobs(2));
    const release: (() => void)[] = [];
    const hold = (): Promise<boolean> => new Promise((resolve) => release.push(() => resolve(true)));
    const living = await queue.work("llava:c", 1, hold, lease.lockedAs);
    const dead = await queue.work("llava:c", 1, hold, ignore);
    await until(() => release.length === 2);
    await lease.beat();
    const held = async (): Promise<number> => {
      const text = `select count(*)::int as n from ${queueSchema}.jobs where task_identifier = 'llava:c' and locked_at is not null`;
      return (await database.query<{ n: number }>(text))[0]?.n ?? 0;
    };
    expect(await held()).toBe(2);
    await until(async () => (await held()) === 1);
    for (const each of release) each();
    await Promise.all([living.stop(), dead.stop(), lease.end()]);
  });
});
