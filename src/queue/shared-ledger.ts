// A ledger that many workers share: what money may still be spent, every attempt, and one accepted answer a request.
import type { Pool } from "pg";
import { InputError } from "../errors.ts";
import { encodeRow, type AnswerRow, type FailedRow, type LedgerRow } from "../endpoint/ledger-rows.ts";

/** What became of a request, as far as all workers know. */
export type SharedState = "unknown" | "open" | "answered" | "failed" | "doubt";

/** Nanodollars. */
export interface SharedTotals {
  readonly spent: number;
  readonly doubt: number;
  /** set aside for attempts under way, those of other workers included */
  readonly reserved: number;
}

/** An attempt that is about to be sent. */
export interface Intent {
  readonly key: string;
  readonly id: string;
  readonly n: number;
  readonly to: string;
  /** used unless the request is in doubt: then it goes under the name that it had */
  readonly nonce: string;
  /** the most that it can cost */
  readonly cost: number;
}

export interface Opened {
  readonly seq: string;
  readonly nonce: string;
  /** earlier attempts may have been charged under this nonce */
  readonly inDoubt: boolean;
}

/** Why an attempt may not be sent. */
export type Refused = "busy" | "answered" | "no room" | "lease lost";

export class SharedLedger {
  readonly name: string;
  readonly #pool: Pool;
  /** by the database's clock */
  readonly #since: string;

  private constructor(pool: Pool, name: string, since: string) {
    this.#pool = pool;
    this.name = name;
    this.#since = since;
  }

  /** Opens or makes it. A request counts as failed when its last attempt failed after this moment. */
  static async open(pool: Pool, name: string): Promise<SharedLedger> {
    await pool.query("insert into llava.ledger (name) values ($1) on conflict do nothing", [name]);
    const { rows } = await pool.query<{ now: string }>("select clock_timestamp()::text as now");
    return new SharedLedger(pool, name, rows[0]?.now ?? "now");
  }

  /** Opens one that is there. Throws `QUEUE_NAME`. */
  static async find(pool: Pool, name: string): Promise<SharedLedger> {
    const { rows } = await pool.query<{ name: string }>(
      "select name from llava.ledger order by name = $1 desc limit 10",
      [name],
    );
    if (rows[0]?.name === name) return SharedLedger.open(pool, name);
    const names = rows.map(({ name }) => `"${name}"`);
    throw new InputError("QUEUE_NAME", {
      expected: `a ledger called "${name}"`,
      got: names.length === 0 ? "none" : names.join(", "),
      where: "--queue-name",
      fix: "name the one that llava teach was given",
    });
  }

  async totals(): Promise<SharedTotals> {
    const text = "select spent, doubt, reserved from llava.ledger where name = $1";
    const { rows } = await this.#pool.query<Record<keyof SharedTotals, string>>(text, [this.name]);
    const { spent = 0, doubt = 0, reserved = 0 } = rows[0] ?? {};
    return { spent: Number(spent), doubt: Number(doubt), reserved: Number(reserved) };
  }

  /** Keys that are not in it are left out: nobody has asked for them. */
  async states(keys: readonly string[]): Promise<ReadonlyMap<string, SharedState>> {
    const { rows } = await this.#pool.query<{ key: string; state: SharedState }>(statesQuery, [
      this.name,
      keys,
      this.#since,
    ]);
    return new Map(rows.map(({ key, state }) => [key, state]));
  }

  /** Sets the worst case aside and writes the intent, both or neither. */
  async begin(intent: Intent, limit: number, worker: string): Promise<Opened | Refused> {
    const { key, cost, id, n, to, nonce } = intent;
    const most = Math.min(limit, Number.MAX_SAFE_INTEGER);
    const { rows } = await this.#pool.query<Opened & { outcome: Refused | "open" }>(
      `select outcome, new_seq as seq, new_nonce as nonce, in_doubt as "inDoubt"
       from llava.begin_attempt($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [this.name, key, cost, most, id, n, to, nonce, worker],
    );
    const [begun] = rows;
    return begun === undefined ? "busy" : begun.outcome === "open" ? begun : begun.outcome;
  }

  /**
   * Books what came of an attempt. Where another answer was taken meanwhile, this one is kept as a spare: booked at its
   * cost, or at none when the endpoint honours the nonce that both were sent under.
   */
  async end(seq: string, row: AnswerRow | FailedRow, isFreeTwice: boolean): Promise<void> {
    const isAnswer = row.t === "answer";
    const state = isAnswer ? "answer" : row.doubt ? "doubt" : "failed";
    const [settles, code] = isAnswer ? [row.settles === true, null] : [false, row.code];
    const spare = isFreeTwice ? { ...row, cost: 0 } : row;
    await this.#pool.query("select llava.end_attempt($1, $2, $3, $4, $5, $6, $7, $8, $9)", [
      this.name,
      seq,
      state,
      lineOf(row),
      code,
      settles,
      row.cost,
      lineOf(spare),
      spare.cost,
    ]);
  }

  /** A run began: what it asks with. */
  async note(row: LedgerRow): Promise<void> {
    await this.#pool.query("insert into llava.run (ledger, line) values ($1, $2)", [this.name, lineOf(row)]);
  }

  /** The user's word that requests in doubt may be asked again. Returns how many, and their cost at most. */
  async consent(): Promise<{ requests: number; atMost: number }> {
    const { rows } = await this.#pool.query<{ requests: string; cost: string }>(consentQuery, [this.name]);
    return { requests: Number(rows[0]?.requests ?? 0), atMost: Number(rows[0]?.cost ?? 0) };
  }

  /** Requests without an answer whose last attempt failed since this ledger was opened here, by code. */
  async failures(): Promise<Readonly<Record<string, number>>> {
    const { rows } = await this.#pool.query<{ code: string; n: string }>(failuresQuery, [this.name, this.#since]);
    return Object.fromEntries(rows.map(({ code, n }) => [code, Number(n)]));
  }

  /** All that ended, as lines of a ledger's file: answers last, for the file's reader goes by the last word. */
  async *lines(): AsyncGenerator<Uint8Array> {
    yield* this.#pages("select seq, line from llava.run where ledger = $1 and seq > $2 order by seq limit 500");
    for (const which of ["<>", "="]) {
      yield* this.#pages(
        `select seq, line from llava.attempt where ledger = $1 and seq > $2 and line is not null and state ${which} 'answer'
         order by seq limit 500`,
      );
    }
  }

  async *#pages(query: string): AsyncGenerator<Uint8Array> {
    for (let last = "0"; ;) {
      const { rows } = await this.#pool.query<{ seq: string; line: string }>(query, [this.name, last]);
      if (rows.length === 0) return;
      last = rows.at(-1)?.seq ?? last;
      yield Buffer.from(rows.map(({ line }) => line).join(""));
    }
  }
}

/** A row as it stands in a file, with its checksum. */
export function lineOf(row: LedgerRow): string {
  return encodeRow(row).toString("utf8");
}

const statesQuery = `
  select key, case
    when bool_or(state = 'answer') then 'answered'
    when bool_or(state = 'open') then 'open'
    when bool_or(state = 'doubt' and not consent) then 'doubt'
    when bool_or(state = 'failed' and ended > $3::timestamptz) then 'failed'
    else 'unknown' end as state
  from llava.attempt where ledger = $1 and key = any($2::text[]) group by key`;

const consentQuery = `
  with allowed as (
    update llava.attempt a set consent = true
    where ledger = $1 and state = 'doubt' and not exists (
      select from llava.attempt b where b.ledger = a.ledger and b.key = a.key and b.state = 'answer')
    returning key, reserved
  )
  select count(distinct key) as requests, coalesce(sum(reserved), 0) as cost from allowed`;

const failuresQuery = `
  select code, count(*) as n from (
    select distinct on (key) key, state, code, ended from llava.attempt a
    where ledger = $1 and key in (
      select key from llava.attempt where ledger = $1 and state in ('failed', 'doubt') and ended > $2::timestamptz)
    order by key, (state = 'answer') desc, seq desc
  ) last
  where state in ('failed', 'doubt') and code <> 'WORKER_LOST' group by code order by code`;
