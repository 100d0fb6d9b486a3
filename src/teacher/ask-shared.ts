// Asks through a queue that many workers share: plans what is missing, does jobs as they come, waits for the others.
import { KeyTable } from "../endpoint/key-table.ts";
import { type Endpoint, sleep } from "../endpoint/endpoint.ts";
import { EndpointError } from "../endpoint/failure.ts";
import type { DoubtPolicy } from "../endpoint/ledgered.ts";
import { unusable } from "../endpoint/pool.ts";
import { AskedElsewhere, sharedAttempts } from "../queue/attempts.ts";
import { planOf, type Job } from "../queue/jobs.ts";
import type { Shared } from "../queue/shared.ts";
import { isSpent, mostFailures, slotsOf, stopOf, type AskedUntil } from "./ask.ts";
import type { Askable, Skipped } from "./messages.ts";
import type { Progress } from "./progress.ts";

export interface SharedAskOptions {
  readonly shared: Shared;
  readonly endpoint: Endpoint;
  readonly progress: Progress;
  readonly inDoubt: DoubtPolicy;
  /** nanodollars for all workers together */
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
  /** called between looks at the queue */
  onLook(): Promise<void>;
}

/** Jobs written together. */
const group = 500;
/** Between looks at the queue; counting a long one takes a while, and it will not be empty soon. */
const lookMs = 250;
const longLookMs = 2000;
const long = 1000;
/** What a worker gave back waits longer than it needs to, unless it is woken so often. */
const wakeMs = 1000;

/**
 * Asks until every request of the plan has an outcome, whoever got it: answered, failed, or in doubt and left alone.
 * Throws what made the endpoint unusable, or the queue.
 */
export async function askShared(
  requests: () => AsyncGenerator<Askable | Skipped>,
  options: SharedAskOptions,
): Promise<AskedUntil> {
  const { shared, endpoint, signal, progress } = options;
  const plan = await planOf(shared.ledger.name, keysOf(requests()));
  const state: State = { failures: 0, done: 0, known: 0, answered: false };
  const planned = await enqueue(plan, requests(), state, options);
  const stop = stopOf(signal);
  const { jobs, lease } = shared;
  const handle = (job: Job): Promise<boolean> => doJob(job, state, options, stop.signal);
  await jobs.wake(plan);
  const work = await jobs.work(plan, slotsOf(endpoint), handle, lease.lockedAs);
  await lease.beat();
  const isStopped = (): boolean => state.fatal !== undefined || signal?.aborted === true;
  void work.ended.catch((error: unknown) => (state.fatal ??= error));
  try {
    for (let woken = performance.now(); !isStopped();) {
      const left = await jobs.left(plan);
      if (left === 0) break;
      progress.elsewhere(Math.max(0, planned - left - state.done));
      state.fatal ??= shared.broken();
      await options.onLook();
      if (performance.now() - woken > wakeMs) {
        await jobs.wake(plan);
        woken = performance.now();
      }
      await sleep(left > long ? longLookMs : lookMs, undefined);
    }
  } finally {
    await work.stop();
    stop.end();
  }
  return outcome(state, shared);
}

async function outcome(state: State, { ledger }: Shared): Promise<AskedUntil> {
  const error = state.fatal ?? (state.answered ? undefined : state.lastError);
  if (error === undefined) return "end";
  const { spent, doubt } = await ledger.totals();
  if (isSpent(state.fatal) && spent + doubt > 0) return "spent";
  // what earlier runs got is written, though all that was left failed again
  if (state.fatal === undefined && state.known > 0) return "end";
  throw error;
}

interface State {
  /** in a row, since the last answer */
  failures: number;
  /** jobs that this worker is done with */
  done: number;
  /** requests that had an answer before */
  known: number;
  answered: boolean;
  lastError?: EndpointError;
  fatal?: unknown;
}

async function* keysOf(requests: AsyncGenerator<Askable | Skipped>): AsyncGenerator<string> {
  for await (const request of requests) if (!("skipped" in request)) yield request.key;
}

/** Adds a job for each request without an outcome; returns how many there are. */
async function enqueue(
  plan: string,
  requests: AsyncGenerator<Askable | Skipped>,
  state: State,
  options: SharedAskOptions,
): Promise<number> {
  const { progress, signal } = options;
  const seen = new KeyTable();
  let planned = 0;
  let waiting: Askable[] = [];
  const flush = async (): Promise<void> => {
    planned += await addMissing(plan, waiting, state, options);
    waiting = [];
    signal?.throwIfAborted();
  };
  for await (const request of requests) {
    if ("skipped" in request) progress.dropped(request.skipped);
    else if (seen.state(request.key) !== "unknown") progress.resumed();
    else {
      seen.set(request.key, "open");
      if (waiting.push(request) >= group) await flush();
    }
  }
  await flush();
  return planned;
}

async function addMissing(
  plan: string,
  requests: readonly Askable[],
  state: State,
  { shared, progress, inDoubt }: SharedAskOptions,
): Promise<number> {
  const states = await shared.ledger.states(requests.map(({ key }) => key));
  const jobs: Job[] = [];
  for (const request of requests) {
    const known = states.get(request.key) ?? "unknown";
    if (known === "answered") state.known++;
    if (known === "answered" || known === "failed") progress.resumed();
    else if (known === "doubt" && inDoubt === "leave") progress.leftInDoubt();
    else jobs.push({ key: request.key, id: request.id, chat: request.chat() });
  }
  if (jobs.length > 0) await shared.jobs.add(plan, jobs);
  return jobs.length;
}

/** Whether the job is done; one that is not goes back into the queue. */
async function doJob(job: Job, state: State, options: SharedAskOptions, signal: AbortSignal): Promise<boolean> {
  if (state.fatal !== undefined || options.signal?.aborted === true) return false;
  try {
    const done = await askOne(job, state, options, signal);
    if (done) state.done++;
    return done;
  } catch (error) {
    // an interrupted request stays in doubt; anything else ends this worker
    if (!signal.aborted && !(error instanceof AskedElsewhere)) state.fatal ??= error;
    return false;
  }
}

async function askOne(job: Job, state: State, options: SharedAskOptions, signal: AbortSignal): Promise<boolean> {
  const { shared, endpoint, progress, inDoubt, limit } = options;
  const { ledger, lease } = shared;
  const known = (await ledger.states([job.key])).get(job.key);
  if (known === "answered" || (known === "doubt" && inDoubt === "leave")) return true;
  // asked by a worker that lives, or by one whose lease has not ended
  if (known === "open") return false;
  const log = sharedAttempts(job, { ledger, lease, limit, policy: inDoubt, signal });
  try {
    const { usage } = await endpoint.chat(job.chat, { signal, log, onRetry: () => progress.retried() });
    state.failures = 0;
    state.answered = true;
    progress.used(usage?.promptTokens ?? 0, usage?.completionTokens ?? 0);
    progress.answered();
    return true;
  } catch (error) {
    if (!(error instanceof EndpointError)) throw error;
    state.lastError ??= error;
    state.failures++;
    progress.failed(error.code);
    if (unusable.has(error.code) || state.failures >= mostFailures) state.fatal ??= error;
    // another worker's endpoint may be of more use
    return !unusable.has(error.code);
  }
}
