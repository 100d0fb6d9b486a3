// The tables that workers share: the ledger's money, every attempt, who is at work; and the two steps that book money.
import type { ClientBase } from "pg";
import { InputError } from "../errors.ts";

/** Raised with every change of what stands below. */
const version = 1;

/**
 * `reserved`: the most that attempts under way may cost; `doubt`: the most that cut-off ones may have cost.
 * An attempt is `open` from before it is sent; then `answer`, `failed`, `doubt`, `settled` (once in doubt, and the
 * endpoint has answered for it under the same name) or `spare` (an answer that came after another was taken).
 * `line` is its row as a ledger's file has it, with its checksum. One open attempt and one answer for a request: the
 * two unique indexes say so whatever the code above does.
 */
const tables = `
  create table llava.ledger (
    name text primary key,
    reserved bigint not null default 0 check (reserved >= 0),
    doubt bigint not null default 0 check (doubt >= 0),
    spent bigint not null default 0 check (spent >= 0)
  );
  create table llava.run (
    seq bigint generated always as identity primary key,
    ledger text not null references llava.ledger,
    line text not null
  );
  create table llava.worker (
    id uuid primary key,
    ledger text not null references llava.ledger,
    beat timestamptz not null default clock_timestamp(),
    locks text[] not null
  );
  create table llava.prompt (hash text primary key, head text not null);
  create table llava.attempt (
    seq bigint generated always as identity primary key,
    ledger text not null references llava.ledger,
    key text not null,
    id text not null,
    n integer not null,
    endpoint text not null,
    nonce text not null,
    reserved bigint not null,
    worker uuid references llava.worker on delete set null,
    state text not null,
    consent boolean not null default false,
    code text,
    line text,
    ended timestamptz
  );
  create unique index attempt_open on llava.attempt (ledger, key) where state = 'open';
  create unique index attempt_answer on llava.attempt (ledger, key) where state = 'answer';
  create index attempt_key on llava.attempt (ledger, key);
  create index attempt_worker on llava.attempt (worker) where worker is not null;
  create table llava.version (version integer not null);
  insert into llava.version values (${version});
`;

/**
 * Each locks the ledger's row first: what they read after that is as the last one left it. As one statement with
 * several parts they would read what was there before they waited for the lock.
 */
const steps = `
  create function llava.begin_attempt(
    in_ledger text, in_key text, in_cost bigint, in_most bigint, in_id text, in_n integer, in_endpoint text,
    in_nonce text, in_worker uuid, out outcome text, out new_seq bigint, out new_nonce text, out in_doubt boolean
  ) language plpgsql as $$
  declare
    has_room boolean;
    earlier text;
  begin
    select l.spent + l.doubt + l.reserved + in_cost <= in_most into has_room
      from llava.ledger l where l.name = in_ledger for update;
    select case a.state when 'answer' then 'answered' else 'busy' end into outcome from llava.attempt a
      where a.ledger = in_ledger and a.key = in_key and a.state in ('answer', 'open') order by a.state limit 1;
    if outcome is not null then return; end if;
    -- one that lost its lease begins nothing before it is back; held until the attempt refers to it
    perform from llava.worker w where w.id = in_worker for key share;
    if not found then outcome := 'lease lost'; return; end if;
    if not has_room then outcome := 'no room'; return; end if;
    select a.nonce into earlier from llava.attempt a
      where a.ledger = in_ledger and a.key = in_key and a.state = 'doubt' order by a.seq desc limit 1;
    outcome := 'open';
    in_doubt := earlier is not null;
    new_nonce := coalesce(earlier, in_nonce);
    insert into llava.attempt (ledger, key, id, n, endpoint, nonce, reserved, worker, state)
      values (in_ledger, in_key, in_id, in_n, in_endpoint, new_nonce, in_cost, in_worker, 'open')
      returning attempt.seq into new_seq;
    update llava.ledger l set reserved = l.reserved + in_cost where l.name = in_ledger;
  end $$;

  create function llava.end_attempt(
    in_ledger text, in_seq bigint, in_state text, in_line text, in_code text, in_settles boolean, in_cost bigint,
    in_spare_line text, in_spare_cost bigint
  ) returns void language plpgsql as $$
  declare
    was llava.attempt;
    settled bigint := 0;
  begin
    perform from llava.ledger l where l.name = in_ledger for update;
    select * into was from llava.attempt a where a.seq = in_seq and a.state in ('open', 'doubt');
    if not found then return; end if;
    if in_state = 'answer' and exists (
      select from llava.attempt a where a.ledger = in_ledger and a.key = was.key and a.state = 'answer')
    then in_state := 'spare'; in_line := in_spare_line; in_cost := in_spare_cost; end if;
    update llava.attempt a
      set state = in_state, line = in_line, code = in_code, worker = null, ended = clock_timestamp()
      where a.seq = in_seq;
    if in_settles then
      with freed as (
        update llava.attempt a set state = 'settled'
        where a.ledger = in_ledger and a.key = was.key and a.state = 'doubt' and a.seq <> in_seq
        returning a.reserved
      ) select coalesce(sum(reserved), 0) into settled from freed;
    end if;
    -- what was set aside lies in doubt once its worker was given up
    update llava.ledger l set
      reserved = l.reserved - case was.state when 'open' then was.reserved else 0 end,
      doubt = l.doubt - case was.state when 'doubt' then was.reserved else 0 end - settled
        + case in_state when 'doubt' then in_cost else 0 end,
      spent = l.spent + case in_state when 'doubt' then 0 else in_cost end
      where l.name = in_ledger;
  end $$;
`;

/** Makes them where there are none. The caller sees to it that nobody else does. Throws `QUEUE_VERSION`. */
export async function createTables(client: ClientBase, where: string): Promise<void> {
  const { rows: made } = await client.query<{ made: boolean }>(
    "select to_regclass('llava.version') is not null as made",
  );
  if (made[0]?.made !== true) {
    await client.query(`begin; create schema if not exists llava; ${tables} ${steps} commit`);
    return;
  }
  const { rows } = await client.query<{ version: number }>("select version from llava.version");
  const found = rows[0]?.version;
  if (found === version) return;
  const fix = "let all workers run the same version, or name another database";
  throw new InputError("QUEUE_VERSION", { expected: `tables of version ${version}`, got: String(found), where, fix });
}
