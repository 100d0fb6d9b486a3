// A ledger and a queue in one database, as one worker holds them.
import { basename } from "node:path";
import { writeFileAtomic } from "../formats/node.ts";
import { openLedger } from "../endpoint/ledger.ts";
import { InputError, LlavaError } from "../errors.ts";
import { connect, queueLost, type Connection } from "./connection.ts";
import { JobQueue } from "./jobs.ts";
import { takeLease, type Lease } from "./lease.ts";
import { SharedLedger } from "./shared-ledger.ts";

/** Where workers meet. */
export interface Meeting {
  /** postgres://… */
  readonly url: string;
  /** workers with the same name share answers and money */
  readonly name: string;
  /** so long may a worker be silent before its requests go to others; 30,000 unless told */
  readonly leaseMs?: number;
}

export interface Shared {
  readonly ledger: SharedLedger;
  readonly jobs: JobQueue;
  readonly lease: Lease;
  /** what broke in the background; looked at between jobs */
  broken(): unknown;
  /** what the database throws becomes `QUEUE_LOST` */
  guard<T>(work: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Opens the ledger of this name for work. Throws what `connect` throws. */
export async function openShared({ url, name, leaseMs }: Meeting): Promise<Shared> {
  const connection = await connect(url);
  try {
    const ledger = await SharedLedger.open(connection.pool, name);
    let broken: unknown;
    const lease = await takeLease(connection, name, { leaseMs, onError: (error) => (broken ??= error) });
    const close = async (): Promise<void> => {
      await lease.end().catch(() => undefined);
      await connection.close();
    };
    const guard = <T>(work: () => Promise<T>): Promise<T> =>
      work().catch((error: unknown) => {
        throw isOfDriver(error) ? queueLost(connection.where, error) : error;
      });
    return { ledger, jobs: new JobQueue(connection), lease, broken: () => broken, guard, close };
  } catch (error) {
    await connection.close();
    throw queueLost(connection.where, error);
  }
}

/** The server's errors have a five-letter code, the connection's one like ECONNRESET, or speak of the connection. */
function isOfDriver(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof LlavaError) return false;
  const { code } = error as { code?: unknown };
  return (
    (typeof code === "string" && /^(?:[0-9A-Z]{5}|E[A-Z]+)$/.test(code)) || /connection|timeout/i.test(error.message)
  );
}

/** The name that workers share unless told: that of the output, wherever it lies. */
export function usualName(out: string): string {
  return basename(out);
}

/** Does something with a shared ledger without being a worker. Throws what `connect` throws, `QUEUE_NAME`, `QUEUE_LOST`. */
export async function withShared<T>({ url, name }: Meeting, work: (ledger: SharedLedger) => Promise<T>): Promise<T> {
  const connection: Connection = await connect(url);
  try {
    return await work(await SharedLedger.find(connection.pool, name));
  } catch (error) {
    throw isOfDriver(error) ? queueLost(connection.where, error) : error;
  } finally {
    await connection.close();
  }
}

/** Writes what ended so far as a ledger's file: all that reads ledgers reads it. */
export async function copyLedger(ledger: SharedLedger, path: string): Promise<void> {
  await writeFileAtomic(path, ledger.lines());
}

/**
 * Throws `QUEUE_LEDGER` where a file holds a ledger that is no copy of this one: it would be written over.
 * A copy's runs all name the ledger that they were copied from.
 */
export async function refuseForeign(path: string, name: string): Promise<void> {
  const file = await openLedger(path, { readOnly: true }).catch((error: unknown) => {
    if (error instanceof LlavaError && error.code === "FILE_MISSING") return undefined;
    throw error;
  });
  if (file === undefined) return;
  try {
    for await (const row of file.rows()) {
      if (row.t !== "run" || row.settings["queue"] === name) continue;
      const fix = "finish it without --queue, or name another --out";
      const got = "a ledger of this machine alone";
      throw new InputError("QUEUE_LEDGER", { expected: `no ledger, or a copy of "${name}"`, got, where: path, fix });
    }
  } finally {
    await file.close();
  }
}
