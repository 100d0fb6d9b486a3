// Asks an endpoint for everything that a ledger lacks, so many requests at once, and stops when it is unusable.
import { setMaxListeners } from "node:events";
import type { Budget } from "../endpoint/budget.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { EndpointError } from "../endpoint/failure.ts";
import type { Ledger } from "../endpoint/ledger.ts";
import { attemptsAt, type DoubtPolicy } from "../endpoint/ledgered.ts";
import { unusable } from "../endpoint/pool.ts";
import { replyIn } from "../endpoint/wire.ts";
import { InputError } from "../errors.ts";
import type { Askable, Skipped } from "./messages.ts";
import type { Progress } from "./progress.ts";

/** So many failed requests in a row, with no answer between them, and the endpoint counts as unusable. */
export const mostFailures = 10;
/** Requests under way when the user interrupts are paid for: they get this long to finish. */
const graceMs = 5000;
/** For every so many slots one request more is prepared, so that none waits for the disk. */
const slotsPerSpare = 4;

/** Requests taken up at once. */
export function slotsOf({ concurrency }: Pick<Endpoint, "concurrency">): number {
  return concurrency + Math.ceil(concurrency / slotsPerSpare);
}

export interface AskOptions {
  readonly endpoint: Endpoint;
  readonly ledger: Ledger;
  readonly budget: Budget;
  readonly progress: Progress;
  readonly inDoubt: DoubtPolicy;
  /** so many good answers, those of earlier runs included, are enough */
  readonly enough?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Why asking ended: all was tried, there are good answers enough, or the budget has no room. */
export type AskedUntil = "end" | "enough" | "spent";

/** Asks in the order of `requests`, so many at once; throws what made the endpoint unusable. */
export async function askAll(requests: AsyncGenerator<Askable | Skipped>, options: AskOptions): Promise<AskedUntil> {
  const { ledger, progress, inDoubt, endpoint, enough = Number.POSITIVE_INFINITY } = options;
  const stop = stopOf(options.signal);
  const state: State = { failures: 0, answered: false, known: 0, good: 0, underWay: new Set() };
  const next = async (): Promise<boolean> => {
    const { value: request, done } = await requests.next();
    // others may have found enough while this one was being read
    if (done === true || state.good >= enough) return false;
    if ("skipped" in request) progress.dropped(request.skipped);
    else {
      const known = ledger.state(request.key);
      if (known === "answered" || known === "failed" || state.underWay.has(request.key)) {
        progress.resumed();
        if (known === "answered") state.known++;
        // counted only where the number matters: reading an answer takes time
        const row = enough === Number.POSITIVE_INFINITY ? undefined : ledger.answer(request.key);
        if (row !== undefined && !("reason" in request.verdict(replyIn(row.body)))) state.good++;
      } else if (known === "queued" || (known === "doubt" && inDoubt === "leave")) progress.leftInDoubt();
      else if (state.gaveUp === undefined) {
        state.underWay.add(request.key);
        await askOne(request, state, options, stop.signal).finally(() => state.underWay.delete(request.key));
      }
    }
    return true;
  };
  const isOver = (): boolean =>
    state.fatal !== undefined || options.signal?.aborted === true || state.good >= enough || isDecided(state);
  const worker = async (): Promise<void> => {
    try {
      while (!isOver() && (await next()));
    } catch (error) {
      // an interrupted request stays in doubt; anything else ends the run
      if (!stop.signal.aborted) state.fatal ??= error;
    }
  };
  try {
    await Promise.all(Array.from({ length: slotsOf(endpoint) }, worker));
  } finally {
    stop.end();
  }
  if (isSpent(state.fatal) && ledger.totals.answers > 0) return "spent";
  const error = state.fatal ?? hopeless(state);
  if (error !== undefined) throw error;
  return state.good >= enough ? "enough" : "end";
}

interface State {
  /** in a row, since the last answer */
  failures: number;
  answered: boolean;
  /** requests that earlier runs got an answer to, as far as they were read */
  known: number;
  /** answers that become data, as far as they were read */
  good: number;
  /** keys being asked for; equal requests are asked once */
  readonly underWay: Set<string>;
  lastError?: EndpointError;
  /** so many failed that no more are asked */
  gaveUp?: EndpointError;
  fatal?: unknown;
}

/** After giving up, requests are only read to see whether there is anything to write. */
function isDecided({ gaveUp, answered, known }: State): boolean {
  return gaveUp !== undefined && (answered || known > 0);
}

/** The error that ends the run: nothing but failures, however few, or an endpoint that gave out in the middle. */
function hopeless({ gaveUp, answered, known, lastError }: State): EndpointError | undefined {
  if (answered) return gaveUp;
  // what earlier runs got is written, though all that was left failed again
  return known > 0 ? undefined : lastError;
}

/** The budget has no room for the next request. */
export function isSpent(error: unknown): boolean {
  return error instanceof InputError && error.code === "BUDGET_SPENT";
}

async function askOne(request: Askable, state: State, options: AskOptions, signal: AbortSignal): Promise<void> {
  const { endpoint, ledger, budget, progress, inDoubt } = options;
  try {
    const log = attemptsAt({ id: request.id, key: request.key }, ledger, budget, inDoubt);
    const reply = await endpoint.chat(request.chat(), { signal, log, onRetry: () => progress.retried() });
    state.failures = 0;
    state.answered = true;
    progress.used(reply.usage?.promptTokens ?? 0, reply.usage?.completionTokens ?? 0);
    const verdict = request.verdict(reply);
    if ("reason" in verdict) progress.dropped(verdict.reason);
    else {
      state.good++;
      progress.accepted();
    }
  } catch (error) {
    if (!(error instanceof EndpointError)) throw error;
    state.lastError ??= error;
    state.failures++;
    progress.failed(error.code);
    if (unusable.has(error.code)) state.fatal ??= error;
    else if (state.failures >= mostFailures) state.gaveUp ??= error;
  }
}

/** A signal that fires some time after the user's, so that what is under way may finish. */
export function stopOf(signal: AbortSignal | undefined): { signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  // every request under way listens, which is no leak
  setMaxListeners(0, controller.signal);
  let timer: NodeJS.Timeout | undefined;
  const start = (): void => void (timer = setTimeout(() => controller.abort(signal?.reason), graceMs));
  signal?.addEventListener("abort", start, { once: true });
  return {
    signal: controller.signal,
    end() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", start);
    },
  };
}
