// Asks in batches: requests go up by the thousand, and what a crash or an interruption left is collected by the next run.
import { randomBytes } from "node:crypto";
import type { BatchApi, RemoteBatch } from "../endpoint/batch-api.ts";
import { batchLine } from "../endpoint/batch-lines.ts";
import type { Budget } from "../endpoint/budget.ts";
import { sleep } from "../endpoint/endpoint.ts";
import type { Ledger } from "../endpoint/ledger.ts";
import type { BatchRow } from "../endpoint/ledger-rows.ts";
import { budgetSpent, type DoubtPolicy } from "../endpoint/ledgered.ts";
import { costOf, mostTokens, type Price } from "../endpoint/price.ts";
import type { AskedUntil } from "./ask.ts";
import { collectBatch } from "./collect-batch.ts";
import type { Askable, Skipped } from "./messages.ts";
import type { Progress } from "./progress.ts";

export interface BatchOptions {
  readonly api: BatchApi;
  readonly ledger: Ledger;
  readonly budget: Budget;
  readonly progress: Progress;
  readonly price: Price;
  readonly inDoubt: DoubtPolicy;
  /** most requests in one batch; 10,000 unless told, and the endpoint takes at most 50,000 */
  readonly batchSize?: number | undefined;
  /** between looks at a batch; 30,000 unless told */
  readonly pollMs?: number | undefined;
  /** where batches go, for the ledger */
  readonly url: string;
  readonly signal?: AbortSignal | undefined;
}

/** A file that goes up may have 200 MB. */
const mostBytes = 150e6;
const ended: ReadonlySet<string> = new Set(["completed", "failed", "expired", "cancelled"]);

/**
 * Collects the batches of earlier runs, then asks for all else that the ledger lacks. Tells whether every request
 * has been tried, or the budget is spent. An abort leaves batches to the endpoint and to the next run.
 */
export async function askInBatches(
  requests: AsyncGenerator<Askable | Skipped>,
  options: BatchOptions,
): Promise<AskedUntil> {
  const { ledger, signal, budget } = options;
  const finishAll = async (batches: readonly BatchRow[]): Promise<void> => {
    await Promise.all(batches.map((batch) => finish(batch, options)));
  };
  await finishAll([...ledger.batches.values()]);
  const queue = openQueue(requests, options);
  for (let any = false; ; any = true) {
    const opened: BatchRow[] = [];
    for (let chunk = await queue.next(); chunk.length > 0; chunk = await queue.next()) {
      signal?.throwIfAborted();
      opened.push(await submit(chunk, options));
    }
    await finishAll(opened);
    // what the worst case had set aside may have come back
    if (queue.ended()) return "end";
    if (opened.length > 0) continue;
    if (any || ledger.totals.answers > 0) return "spent";
    throw budgetSpent(budget, queue.needed());
  }
}

interface Queued {
  readonly request: Askable;
  readonly cost: number;
  readonly line: string;
}

/** Chunks of requests that the ledger lacks and the budget has room for; their worst case is set aside. */
function openQueue(
  requests: AsyncGenerator<Askable | Skipped>,
  { ledger, budget, progress, price, inDoubt, batchSize = 10_000 }: BatchOptions,
): { next(): Promise<Queued[]>; ended(): boolean; needed(): number } {
  const share = price.batch ?? 1;
  let held: Queued | undefined;
  let done = false;
  const take = async (): Promise<Queued | undefined> => {
    while (!done) {
      const found = await requests.next();
      if (found.done === true) done = true;
      else if ("skipped" in found.value) progress.dropped(found.value.skipped);
      else {
        const request = found.value;
        const known = ledger.state(request.key);
        if (known === "answered" || known === "queued" || known === "failed") progress.resumed();
        else if (known === "doubt" && inDoubt === "leave") progress.leftInDoubt();
        else {
          const chat = request.chat();
          return { request, cost: costOf(mostTokens(chat), price, share), line: batchLine(request.key, chat) };
        }
      }
    }
    return undefined;
  };
  return {
    ended: () => done && held === undefined,
    needed: () => held?.cost ?? 0,
    async next() {
      const chunk = new Map<string, Queued>();
      let bytes = 0;
      for (;;) {
        held ??= await take();
        if (held === undefined) break;
        if (chunk.has(held.request.key)) progress.resumed();
        else {
          bytes += held.line.length;
          if (chunk.size >= batchSize || bytes > mostBytes || !budget.tryReserve(held.cost)) break;
          chunk.set(held.request.key, held);
        }
        held = undefined;
      }
      return [...chunk.values()];
    },
  };
}

/** Intents first, then the file, then the batch: whatever breaks between is found again by the batch's name. */
async function submit(chunk: readonly Queued[], options: BatchOptions): Promise<BatchRow> {
  const { ledger, budget, api, url, signal } = options;
  const name = randomBytes(16).toString("hex");
  const planned: BatchRow = {
    t: "batch",
    key: name,
    cost: 0,
    at: now(),
    state: "planned",
    to: url,
    requests: chunk.length,
  };
  const intents = chunk.map(({ request: { key, id }, cost }) =>
    ledger.append({ t: "queued", key, cost, at: now(), id, batch: name }),
  );
  await Promise.all([ledger.append(planned), ...intents]);
  // from here on the ledger holds it
  for (const { cost } of chunk) budget.settle(cost, cost);
  const file = await api.upload(chunk.map(({ line }) => line).join(""), signal);
  return adopt(planned, await api.create(file, name, signal), ledger);
}

async function adopt(batch: BatchRow, remote: RemoteBatch, ledger: Ledger): Promise<BatchRow> {
  const created: BatchRow = { ...batch, at: now(), state: "created", remote: remote.id };
  await ledger.append(created);
  return created;
}

/** Waits for a batch to end and books what came of it. One that a crash kept from being made is given up. */
async function finish(batch: BatchRow, options: BatchOptions): Promise<void> {
  const { api, ledger, signal, pollMs = 30_000 } = options;
  let known = batch;
  if (known.remote === undefined) {
    const remote = await api.find(batch.key, signal);
    if (remote === undefined) return collectBatch(known, undefined, options);
    known = await adopt(batch, remote, ledger);
  }
  for (;;) {
    const remote = await api.get(known.remote as string, signal);
    if (ended.has(remote.status)) return collectBatch(known, remote, options);
    await sleep(pollMs, signal);
  }
}

function now(): string {
  return new Date().toISOString();
}
