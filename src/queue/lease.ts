// Who is at work: a worker says so every few seconds, and what one left that fell silent is taken from it.
import { randomUUID } from "node:crypto";
import type { PoolClient } from "pg";
import type { FailedRow } from "../endpoint/ledger-rows.ts";
import { queueSchema, type Connection } from "./connection.ts";
import { lineOf } from "./shared-ledger.ts";

/** So long may a worker be silent before its requests go to others: a short pause of the network must fit in. */
const usualLeaseMs = 30_000;
const beatsPerLease = 3;

export interface Lease {
  /** what this worker's attempts are written under */
  readonly worker: string;
  readonly leaseMs: number;
  /** by which names the job queue knows this worker */
  lockedAs(id: string): void;
  /** says that it is alive, and takes from those that are not */
  beat(): Promise<void>;
  end(): Promise<void>;
}

/** Registers this process as a worker at a ledger. Errors of a beat in the background go to `onError`. */
export async function takeLease(
  connection: Connection,
  ledger: string,
  { leaseMs = usualLeaseMs, onError }: { readonly leaseMs?: number | undefined; onError(error: unknown): void },
): Promise<Lease> {
  const { pool } = connection;
  const worker = randomUUID();
  const locks = new Set<string>();
  const beat = async (): Promise<void> => {
    // one that was given up meanwhile is back with this
    await pool.query(
      `insert into llava.worker (id, ledger, locks) values ($1, $2, $3)
       on conflict (id) do update set beat = clock_timestamp(), locks = excluded.locks`,
      [worker, ledger, [...locks]],
    );
    await giveUpSilent(connection, ledger, leaseMs);
  };
  await beat();
  let last: Promise<void> = Promise.resolve();
  const timer = setInterval(() => void (last = last.then(beat).catch(onError)), leaseMs / beatsPerLease);
  return {
    worker,
    leaseMs,
    lockedAs: (id) => void locks.add(id),
    beat,
    async end() {
      clearInterval(timer);
      await last;
      await pool.query("delete from llava.worker where id = $1", [worker]);
    },
  };
}

/** Their open attempts are in doubt from now on, and their jobs go back into the queue. */
async function giveUpSilent({ pool, utils }: Connection, ledger: string, leaseMs: number): Promise<void> {
  const { rows: silent } = await pool.query<{ id: string }>(silentQuery, [ledger, leaseMs]);
  if (silent.length > 0) {
    const client = await pool.connect();
    try {
      await client.query("begin");
      await doubtSilent(client, ledger, leaseMs);
      await client.query("commit");
    } catch (error) {
      await client.query("rollback").catch(() => undefined);
      throw error;
    } finally {
      client.release();
    }
  }
  const { rows: lost } = await pool.query<{ by: string }>(lostQuery, [leaseMs]);
  if (lost.length > 0) await utils.forceUnlockWorkers(lost.map(({ by }) => by));
}

interface Open {
  readonly seq: string;
  readonly key: string;
  readonly id: string;
  readonly n: number;
  readonly endpoint: string;
  readonly nonce: string;
  readonly reserved: string;
}

/** The ledger's row is locked first, as in every step that books money: nothing begins or ends meanwhile. */
async function doubtSilent(client: PoolClient, ledger: string, leaseMs: number): Promise<void> {
  await client.query("select from llava.ledger where name = $1 for update", [ledger]);
  const { rows: silent } = await client.query<{ id: string }>(`${silentQuery} for update`, [ledger, leaseMs]);
  const workers = silent.map(({ id }) => id);
  const { rows: open } = await client.query<Open>(
    "select * from llava.attempt where worker = any($1::uuid[]) and state = 'open'",
    [workers],
  );
  const at = new Date().toISOString();
  const lines = open.map((each) => lineOf(cutOff(each, at)));
  await client.query(
    `update llava.attempt a set state = 'doubt', code = 'WORKER_LOST', line = cut.line, ended = clock_timestamp()
     from unnest($1::bigint[], $2::text[]) as cut (seq, line) where a.seq = cut.seq`,
    [open.map(({ seq }) => seq), lines],
  );
  const sum = open.reduce((total, { reserved }) => total + Number(reserved), 0);
  await client.query("update llava.ledger set reserved = reserved - $2, doubt = doubt + $2 where name = $1", [
    ledger,
    sum,
  ]);
  await client.query("delete from llava.worker where id = any($1::uuid[])", [workers]);
}

function cutOff({ key, id, n, endpoint, nonce, reserved }: Open, at: string): FailedRow {
  const got = "a worker that ended, or was cut off, before the answer";
  const common = { key, id, at, n, to: endpoint, ms: 0, nonce, cost: Number(reserved), doubt: true as const };
  return { t: "failed", ...common, code: "WORKER_LOST", got };
}

const silentQuery = `
  select id from llava.worker where ledger = $1 and beat < clock_timestamp() - $2::float8 * interval '1 millisecond'`;

/** Jobs that nobody holds who was heard of within a lease. */
const lostQuery = `
  select distinct locked_by as by from ${queueSchema}.jobs
  where locked_at < clock_timestamp() - $1::float8 * interval '1 millisecond' and locked_by not in (
    select unnest(locks) from llava.worker where beat > clock_timestamp() - $1::float8 * interval '1 millisecond')`;
