// Requests as jobs of a queue: each once, in the order of the source, held by one worker at a time.
import { createHash, hash } from "node:crypto";
import { EventEmitter } from "node:events";
import { z } from "zod";
import type { ChatRequest } from "../endpoint/wire.ts";
import { BugError } from "../errors.ts";
import { queueSchema, type Connection } from "./connection.ts";

/** A request that any worker can send: it needs neither the pictures nor their captions for that. */
export interface Job {
  readonly key: string;
  readonly id: string;
  readonly chat: ChatRequest;
}

/** A job as the queue holds it: the words that many requests share are kept once, by their hash. */
const held = z.object({
  key: z.string(),
  id: z.string(),
  head: z.string(),
  last: z.string(),
  pictures: z.array(z.string()).optional(),
});

export interface Working {
  /** ends once the jobs under way are done or given back */
  stop(): Promise<void>;
  /** rejects when the queue itself fails */
  readonly ended: Promise<void>;
}

/** More attempts than any request needs: how often one is asked is decided elsewhere. */
const attempts = 10_000;
/** New jobs are told at once; this is for those that were given back. */
const pollMs = 500;

export class JobQueue {
  readonly #connection: Connection;
  readonly #known = new Set<string>();
  readonly #heads = new Map<string, ChatRequest>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Adds jobs that the plan does not hold yet; one that is under way stays as it is. */
  async add(plan: string, jobs: readonly Job[]): Promise<void> {
    const parts = jobs.map((job) => ({ job, ...split(job.chat) }));
    await this.#keepHeads(new Map(parts.map(({ hash, head }) => [hash, head])));
    const payloads = parts.map(({ job: { key, id }, hash, last, pictures }) =>
      JSON.stringify({ key, id, head: hash, last, pictures }),
    );
    await this.#connection.pool.query(
      `select (${queueSchema}.add_job(identifier => $1, payload => payload::json, job_key => $1 || ' ' || key,
         job_key_mode => 'unsafe_dedupe', max_attempts => $2)).id
       from unnest($3::text[], $4::text[]) as job (key, payload)`,
      [plan, attempts, jobs.map(({ key }) => key), payloads],
    );
  }

  /** jobs that are not done, those under way included */
  async left(plan: string): Promise<number> {
    const text = `select count(*)::int as n from ${queueSchema}.jobs where task_identifier = $1`;
    const { rows } = await this.#connection.pool.query<{ n: number }>(text, [plan]);
    return rows[0]?.n ?? 0;
  }

  /** Jobs that were given back wait longer each time: these are due at once. */
  async wake(plan: string): Promise<void> {
    const { rows } = await this.#connection.pool.query<{ id: string }>(
      `select id from ${queueSchema}.jobs where task_identifier = $1 and locked_at is null and run_at > now()`,
      [plan],
    );
    const due = { runAt: new Date(0), attempts: 0 };
    if (rows.length > 0)
      await this.#connection.utils.rescheduleJobs(
        rows.map(({ id }) => id),
        due,
      );
  }

  /**
   * Does the jobs of a plan, so many at once. `handle` says whether a job is done; one that is not goes back into the
   * queue. `lockedAs` is told the names that jobs are held under.
   */
  async work(
    plan: string,
    concurrency: number,
    handle: (job: Job) => Promise<boolean>,
    lockedAs: (id: string) => void,
  ): Promise<Working> {
    const events = new EventEmitter();
    events.on("pool:create", ({ workerPool }: { workerPool: { id?: string } }) => lockedAs(workerPool.id ?? ""));
    events.on("worker:create", ({ worker }: { worker: { workerId: string } }) => lockedAs(worker.workerId));
    const { pool, run, silent } = this.#connection;
    const runner = await run({
      pgPool: pool,
      schema: queueSchema,
      logger: silent,
      noHandleSignals: true,
      concurrency,
      pollInterval: pollMs,
      events,
      taskList: {
        [plan]: async (payload) => {
          if (!(await handle(await this.#jobOf(payload)))) throw new GivenBack("not done here");
        },
      },
    });
    // whoever waits for it hears of it; whoever does not must not die of it
    runner.promise.catch(() => undefined);
    return { stop: () => runner.stop(), ended: runner.promise };
  }

  async #keepHeads(heads: ReadonlyMap<string, string>): Promise<void> {
    const unknown = [...heads].filter(([name]) => !this.#known.has(name));
    if (unknown.length === 0) return;
    await this.#connection.pool.query(
      "insert into llava.prompt (hash, head) select * from unnest($1::text[], $2::text[]) on conflict do nothing",
      [unknown.map(([name]) => name), unknown.map(([, head]) => head)],
    );
    for (const [name] of unknown) this.#known.add(name);
  }

  async #jobOf(payload: unknown): Promise<Job> {
    const { key, id, head, last, pictures } = held.parse(payload);
    const chat = this.#heads.get(head) ?? (await this.#readHead(head));
    return { key, id, chat: withLast(chat, last, pictures) };
  }

  async #readHead(name: string): Promise<ChatRequest> {
    const text = "select head from llava.prompt where hash = $1";
    const { rows } = await this.#connection.pool.query<{ head: string }>(text, [name]);
    const head = rows[0]?.head;
    if (head === undefined) throw new BugError("PROMPT_MISSING", { expected: "a prompt that was kept", got: "none" });
    const chat = JSON.parse(head) as ChatRequest;
    this.#heads.set(name, chat);
    return chat;
  }
}

/** Not a failure: the job waits for another worker, or for a later run. */
class GivenBack extends Error {
  override readonly name = "GivenBack";
}

interface Split {
  readonly hash: string;
  readonly head: string;
  readonly last: string;
  readonly pictures: readonly string[] | undefined;
}

/** A request without its last words and pictures, which are its own; and those. */
function split(chat: ChatRequest): Split {
  const head = JSON.stringify(withLast(chat, "", undefined));
  const { content = "", pictures } = chat.messages.at(-1) ?? {};
  return { hash: hash("sha256", head), head, last: content, pictures };
}

function withLast(chat: ChatRequest, content: string, pictures: readonly string[] | undefined): ChatRequest {
  const last = chat.messages.at(-1);
  if (last === undefined) return chat;
  const own = { role: last.role, content, ...(pictures === undefined ? {} : { pictures }) };
  return { ...chat, messages: [...chat.messages.slice(0, -1), own] };
}

/**
 * A name for a set of requests in their order: workers with the same source and the same options find each other by it,
 * and jobs of another plan are never theirs to buy.
 */
export async function planOf(ledger: string, keys: AsyncIterable<string>): Promise<string> {
  const sum = createHash("sha256").update(`${ledger}\n`);
  for await (const key of keys) sum.update(key);
  return `llava:${sum.digest("hex").slice(0, 32)}`;
}
