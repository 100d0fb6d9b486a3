import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openLedger } from "../endpoint/ledger.ts";
import { noKey, type AnswerRow, type FailedRow } from "../endpoint/ledger-rows.ts";
import { connect, describeAddress, type Connection } from "./connection.ts";
import { takeLease, type Lease } from "./lease.ts";
import { makeDatabase, postgres, type Database } from "./postgres.fixture.ts";
import { SharedLedger, type Intent, type Opened } from "./shared-ledger.ts";
import { copyLedger, openShared, refuseForeign, withShared } from "./shared.ts";

const keyOf = (i: number): string => i.toString(16).padStart(32, "0");
const intent = (i: number, cost = 100): Intent => ({
  key: keyOf(i),
  id: `r${i}`,
  n: 1,
  to: "http://x",
  nonce: `n${i}`,
  cost,
});
const at = "2026-01-01T00:00:00.000Z";
const answer = (i: number, cost: number, settles = false): AnswerRow => ({
  ...{
    t: "answer",
    key: keyOf(i),
    id: `r${i}`,
    n: 1,
    at,
    to: "http://x",
    ms: 3,
    in: 1,
    out: 1,
    cost,
    body: "{}\u0000",
  },
  ...(settles ? { settles } : {}),
});
const failure = (i: number, doubt?: number): FailedRow => ({
  ...{ t: "failed", key: keyOf(i), id: `r${i}`, n: 1, at, to: "http://x", ms: 3, code: "X", got: "y", nonce: `n${i}` },
  ...(doubt === undefined ? { cost: 0 } : { cost: doubt, doubt: true as const }),
});

function isOpen(begun: Awaited<ReturnType<SharedLedger["begin"]>>): begun is Opened {
  return typeof begun !== "string";
}

test.each([
  ["http://127.0.0.1/x", "http:"],
  ["somewhere", "something else"],
  ["postgres://user:secret@[/x", "postgres:"],
])("%s is no address", (url, got) => {
  expect(() => describeAddress(url)).toThrow(expect.objectContaining({ code: "QUEUE_ADDRESS", exitCode: 2 }));
  expect(() => describeAddress(url)).toThrow(got);
});

test("a server that is not there is told by its address, without a password", async () => {
  const error = await connect("postgres://me:secret@127.0.0.1:1/pictures").catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "QUEUE_DOWN", exitCode: 2 });
  expect(String(error)).toContain("127.0.0.1:1/pictures");
  expect(String(error)).not.toContain("secret");
});

describe.skipIf(!postgres.present)("a shared ledger (needs PostgreSQL)", () => {
  let database: Database;
  let connection: Connection;
  let names = 0;
  beforeAll(async () => {
    database = await makeDatabase();
    connection = await connect(database.url);
  });
  afterAll(async () => {
    await connection.close();
    await database.drop();
  });

  const open = (name = `ledger ${names++}`): Promise<SharedLedger> => SharedLedger.open(connection.pool, name);
  const fail = (error: unknown): void => expect.fail(String(error));
  const lease = (ledger: SharedLedger, leaseMs = 60_000): Promise<Lease> =>
    takeLease(connection, ledger.name, { leaseMs, onError: fail });
  /** A worker that was last heard of an hour ago. */
  async function silent({ name }: SharedLedger): Promise<string> {
    const [row] = await database.query<{ id: string }>(
      "insert into llava.worker (id, ledger, beat, locks) values (gen_random_uuid(), $1, now() - interval '1 hour', '{}') returning id",
      [name],
    );
    return row?.id ?? "";
  }

  test("made by workers that start at once, and again by later ones", async () => {
    const fresh = await makeDatabase();
    const many = await Promise.all(Array.from({ length: 4 }, () => connect(fresh.url)));
    await Promise.all(many.map((each) => each.close()));
    await fresh.query("update llava.version set version = 99");
    await expect(connect(fresh.url)).rejects.toMatchObject({ code: "QUEUE_VERSION", exitCode: 2 });
    await fresh.drop();
  });

  test("a request is opened once, however many want it, and answered once", async () => {
    const ledger = await open();
    const { worker, end } = await lease(ledger);
    const begun = await Promise.all(Array.from({ length: 16 }, () => ledger.begin(intent(1), 1e9, worker)));
    expect(begun.filter((each) => each === "busy")).toHaveLength(15);
    const [mine] = begun.filter(isOpen);
    expect(await ledger.totals()).toEqual({ spent: 0, doubt: 0, reserved: 100 });
    await ledger.end(mine?.seq ?? "", answer(1, 40), false);
    expect(await ledger.begin(intent(1), 1e9, worker)).toBe("answered");
    expect(await ledger.totals()).toEqual({ spent: 40, doubt: 0, reserved: 0 });
    expect(await ledger.states([keyOf(1), keyOf(2)])).toEqual(new Map([[keyOf(1), "answered"]]));
    await end();
  });

  test("the budget is one for all: what is set aside, spent or in doubt never exceeds it", async () => {
    const step = fc.record({
      key: fc.nat(7),
      worker: fc.nat(1),
      act: fc.constantFrom("begin", "answer", "fail", "doubt"),
      cost: fc.integer({ min: 1, max: 100 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { maxLength: 8 }), { maxLength: 6 }), async (rounds) => {
        const ledger = await open();
        const leases = await Promise.all([lease(ledger), lease(ledger)]);
        const seqs = new Map<number, string>();
        for (const round of rounds) {
          // a round's steps at once
          await Promise.all(
            round.map(async ({ key, worker, act, cost }) => {
              const seq = seqs.get(key);
              if (act === "begin") {
                const begun = await ledger.begin(intent(key), 350, leases[worker]?.worker ?? "");
                if (isOpen(begun)) seqs.set(key, begun.seq);
              } else if (seq !== undefined) {
                const row = act === "answer" ? answer(key, cost) : failure(key, act === "doubt" ? 100 : undefined);
                await ledger.end(seq, row, false);
              }
            }),
          );
          const { spent, doubt, reserved } = await ledger.totals();
          expect(spent + doubt + reserved).toBeLessThanOrEqual(350);
          // the sums are those of the attempts: each end is booked once
          const [sums] = await database.query<Record<"spent" | "doubt" | "reserved", number>>(
            `select coalesce(sum(reserved) filter (where state = 'open'), 0)::float8 as reserved,
                    coalesce(sum(reserved) filter (where state = 'doubt'), 0)::float8 as doubt,
                    coalesce(sum(substring(line from '"cost":([0-9]+)')::bigint)
                      filter (where state in ('answer', 'spare')), 0)::float8 as spent
             from llava.attempt where ledger = $1`,
            [ledger.name],
          );
          expect(sums).toEqual({ spent, doubt, reserved });
        }
        await Promise.all(leases.map(({ end }) => end()));
      }),
      { numRuns: 25 },
    );
  });

  test("a silent worker's attempts are in doubt; its late answer is taken where nobody else has one", async () => {
    const ledger = await open();
    const other = await lease(ledger);
    const lost = await silent(ledger);
    const begun = [await ledger.begin(intent(1), 1e9, lost), await ledger.begin(intent(2), 1e9, lost)].filter(isOpen);
    expect(begun).toHaveLength(2);
    await other.beat();
    expect(await ledger.totals()).toEqual({ spent: 0, doubt: 200, reserved: 0 });
    expect([...(await ledger.states([keyOf(1), keyOf(2)])).values()]).toEqual(["doubt", "doubt"]);
    // it comes back to itself: what it sent is answered, but it may not send more before it is registered again
    expect(await ledger.begin(intent(3), 1e9, lost)).toBe("lease lost");
    await ledger.end(begun[0]?.seq ?? "", answer(1, 30), true);
    expect(await ledger.totals()).toEqual({ spent: 30, doubt: 100, reserved: 0 });

    // the other one is asked again under its old name, and the endpoint stands for both
    const again = await ledger.begin({ ...intent(2), nonce: "new" }, 1e9, other.worker);
    expect(again).toMatchObject({ nonce: "n2", inDoubt: true });
    await ledger.end((again as Opened).seq, answer(2, 30, true), true);
    expect(await ledger.totals()).toEqual({ spent: 60, doubt: 0, reserved: 0 });
    await ledger.end(begun[1]?.seq ?? "", answer(2, 30), true);
    expect(await ledger.totals()).toEqual({ spent: 60, doubt: 0, reserved: 0 });
    await other.end();
  });

  test("an answer that comes second is booked and kept, and not used", async () => {
    const ledger = await open();
    const other = await lease(ledger);
    const lost = await silent(ledger);
    const first = (await ledger.begin(intent(1), 1e9, lost)) as Opened;
    await other.beat();
    const second = (await ledger.begin(intent(1), 1e9, other.worker)) as Opened;
    await ledger.end(second.seq, { ...answer(1, 30), body: "second" }, false);
    await ledger.end(first.seq, { ...answer(1, 20), body: "first" }, false);
    expect(await ledger.totals()).toEqual({ spent: 50, doubt: 0, reserved: 0 });
    const states = await database.query("select state from llava.attempt where ledger = $1 order by seq", [
      ledger.name,
    ]);
    expect(states).toEqual([{ state: "spare" }, { state: "answer" }]);
    await other.end();
  });

  test("consent lets what is in doubt be asked again, and counts it still", async () => {
    const ledger = await open();
    const { worker, end } = await lease(ledger);
    const begun = (await ledger.begin(intent(1), 1e9, worker)) as Opened;
    await ledger.end(begun.seq, failure(1, 100), false);
    expect((await ledger.states([keyOf(1)])).get(keyOf(1))).toBe("doubt");
    expect(await ledger.failures()).toEqual({ X: 1 });
    expect(await ledger.consent()).toEqual({ requests: 1, atMost: 100 });
    expect((await ledger.states([keyOf(1)])).get(keyOf(1))).toBe("unknown");
    expect(await ledger.totals()).toEqual({ spent: 0, doubt: 100, reserved: 0 });
    await end();
  });

  test("its copy is a ledger like any other", async () => {
    const folder = await mkdtemp(join(tmpdir(), "copy-"));
    const path = join(folder, "x.ledger.jsonl");
    const ledger = await open("x");
    const { worker, end } = await lease(ledger);
    await ledger.note({ t: "run", key: noKey, cost: 0, at, version: 1, settings: { queue: "x" } });
    const each = async (i: number): Promise<void> => {
      const { seq } = (await ledger.begin(intent(i), 1e9, worker)) as Opened;
      if (i % 3 !== 2) await ledger.end(seq, i % 3 === 0 ? answer(i, 7) : failure(i, 100), false);
    };
    await Promise.all(Array.from({ length: 600 }, (_, i) => each(i)));
    await copyLedger(ledger, path);
    const copy = await openLedger(path, { readOnly: true });
    expect(copy.totals).toMatchObject({ answers: 200, spent: 1400, doubt: 20_000 });
    expect(copy.answer(keyOf(3))).toMatchObject(answer(3, 7));
    expect(copy.doubts()).toHaveLength(200);
    expect(await ledger.totals()).toEqual({ spent: 1400, doubt: 20_000, reserved: 20_000 });
    await copy.close();
    await refuseForeign(path, "x");
    await expect(refuseForeign(path, "y")).rejects.toMatchObject({ code: "QUEUE_LEDGER", exitCode: 2 });
    await rm(folder, { recursive: true });
    await end();
  });

  test("one that is only looked at must be there", async () => {
    await open("there");
    const look = (name: string): Promise<string> =>
      withShared({ url: database.url, name }, (ledger) => Promise.resolve(ledger.name));
    expect(await look("there")).toBe("there");
    await expect(look("elsewhere")).rejects.toMatchObject({ code: "QUEUE_NAME", exitCode: 2 });
  });

  test("a database that goes away is told as such", async () => {
    const fresh = await makeDatabase();
    const shared = await openShared({ url: fresh.url, name: "x" });
    await fresh.drop();
    await expect(shared.guard(() => shared.ledger.totals())).rejects.toMatchObject({ code: "QUEUE_LOST", exitCode: 1 });
    await shared.close();
  });
});
