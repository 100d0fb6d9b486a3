// A database of its own on a PostgreSQL server nearby, dropped after the tests.
import { randomBytes } from "node:crypto";
import pg from "pg";

const server = process.env["LLAVA_TEST_POSTGRES"] ?? "postgres://postgres@127.0.0.1:5432/postgres";

/** `present` is false where no server answers: "needs PostgreSQL on this machine, or where LLAVA_TEST_POSTGRES says". */
export const postgres = { present: await isThere() };

async function isThere(): Promise<boolean> {
  return withClient(() => Promise.resolve(true)).catch(() => false);
}

async function withClient<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: server, connectionTimeoutMillis: 2000 });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

export interface Database {
  readonly url: string;
  /** one statement as the server's owner would look at it */
  query<T extends object>(text: string, values?: readonly unknown[]): Promise<T[]>;
  drop(): Promise<void>;
}

export async function makeDatabase(): Promise<Database> {
  const name = `llava_test_${process.pid}_${randomBytes(4).toString("hex")}`;
  await withClient((client) => client.query(`create database ${name}`));
  const address = new URL(server);
  address.pathname = `/${name}`;
  const pool = new pg.Pool({ connectionString: address.href, max: 2 });
  // `end` does not wait for idle connections to close: `drop`, which is forced, may cut one off first
  pool.on("error", () => undefined);
  return {
    url: address.href,
    query: async <T extends object>(text: string, values: readonly unknown[] = []) =>
      (await pool.query<T>(text, [...values])).rows,
    async drop() {
      await pool.end();
      await withClient((client) => client.query(`drop database ${name} with (force)`));
    },
  };
}
