// The way to a PostgreSQL server and its job queue: packages that are loaded only where a queue is named.
import type { Logger, makeWorkerUtils, run, WorkerUtils } from "graphile-worker";
import type pg from "pg";
import { InputError, LlavaError, RunError } from "../errors.ts";
import { createTables } from "./tables.ts";

/** The job queue's own tables; a name of ours, so that a queue that the database holds already is left alone. */
export const queueSchema = "llava_queue";

export interface Connection {
  /** host and database, without a password */
  readonly where: string;
  readonly pool: pg.Pool;
  readonly utils: WorkerUtils;
  readonly run: typeof run;
  readonly silent: Logger;
  close(): Promise<void>;
}

/** More would wait for each other at the budget anyway. */
const mostClients = 10;
const connectMs = 10_000;
/** Held while tables are made: two workers that start together would both make them. */
const tablesLock = 7_602_081_936;

/**
 * Connects and makes what tables are missing.
 *
 * @throws InputError `QUEUE_ADDRESS`, `QUEUE_DRIVER` where the packages are not installed, `QUEUE_DOWN`, `QUEUE_VERSION`
 */
export async function connect(url: string): Promise<Connection> {
  const where = describeAddress(url);
  const { pg: driver, queue } = await loadDriver();
  const pool = new driver.Pool({
    connectionString: url,
    max: mostClients,
    connectionTimeoutMillis: connectMs,
    application_name: "llava teach",
  });
  // an idle connection that breaks is replaced; a query on a broken one fails by itself
  const ignore = (): void => undefined;
  pool.on("error", ignore);
  pool.on("connect", (client) => client.on("error", ignore));
  const silent = new queue.Logger(() => () => undefined);
  try {
    const utils = await queue.makeWorkerUtils({ pgPool: pool, schema: queueSchema, logger: silent });
    const client = await pool.connect();
    try {
      await client.query("select pg_advisory_lock($1)", [tablesLock]);
      await createTables(client, where);
      await utils.migrate();
    } finally {
      // its lock goes with the connection
      client.release(true);
    }
    const close = async (): Promise<void> => {
      await utils.release();
      await pool.end();
    };
    return { where, pool, utils, silent, run: queue.run, close };
  } catch (cause) {
    await pool.end().catch(() => undefined);
    throw cause instanceof LlavaError ? cause : unreachable(where, cause);
  }
}

/** "host:port/database" of an address; throws `QUEUE_ADDRESS`. */
export function describeAddress(url: string): string {
  const fix = "give it as postgres://USER@HOST/DATABASE; a password may stand in PGPASSWORD or ~/.pgpass";
  const expected = "the address of a PostgreSQL database";
  if (!/^postgres(?:ql)?:\/\//.test(url) || !URL.canParse(url)) {
    const got = /^[a-z]+:/.exec(url)?.[0] ?? "something else";
    throw new InputError("QUEUE_ADDRESS", { expected, got, where: "--queue", fix });
  }
  const { host, pathname } = new URL(url);
  return `${decodeURIComponent(host) || "localhost"}${pathname}`;
}

interface Driver {
  readonly pg: typeof pg;
  readonly queue: {
    readonly run: typeof run;
    readonly makeWorkerUtils: typeof makeWorkerUtils;
    readonly Logger: typeof Logger;
  };
}

async function loadDriver(): Promise<Driver> {
  try {
    const [driver, queue] = await Promise.all([import("pg"), import("graphile-worker")]);
    return { pg: driver.default, queue };
  } catch (cause) {
    throw new InputError("QUEUE_DRIVER", {
      expected: "the packages that talk to PostgreSQL",
      got: cause instanceof Error ? (cause.message.split("\n")[0] as string) : "none",
      where: "--queue",
      fix: "npm install pg graphile-worker",
      cause,
    });
  }
}

function unreachable(where: string, cause: unknown): InputError {
  const fix = "start the server, or correct the address and who may connect";
  return new InputError("QUEUE_DOWN", { expected: "a PostgreSQL database", got: words(cause), where, fix, cause });
}

/** `QUEUE_LOST`: the database went away, or refused, while the work was under way. */
export function queueLost(where: string, cause: unknown): LlavaError {
  if (cause instanceof LlavaError) return cause;
  const fix = "see to the database, then run it again: what was answered is kept there";
  return new RunError("QUEUE_LOST", { expected: "the queue's database", got: words(cause), where, fix, cause });
}

/** What the server or the driver says; neither repeats a password. */
function words(cause: unknown): string {
  const { code, message } = (cause ?? {}) as { code?: unknown; message?: unknown };
  const said = String(message ?? "")
    .split("\n")[0]
    ?.slice(0, 200);
  return said || (typeof code === "string" ? code : "no answer");
}
