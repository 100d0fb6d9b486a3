// Who may send when: slots that adapt to the endpoint's 429s, pauses it asks for, and caps per minute.
import type { RateSignals } from "./rate-limits.ts";

export interface AdmissionOptions {
  /** most requests at once */
  readonly concurrency: number;
  /** requests, and tokens, in any minute */
  readonly requestsPerMinute?: number | undefined;
  readonly tokensPerMinute?: number | undefined;
  /** longer waits are not kept: the request that met them fails instead */
  readonly longestWaitMs: number;
  /** the pause after a 429 that names none */
  readonly pauseMs: number;
}

export interface Permit {
  /** ends the request; told how many tokens were counted, gives back what was reserved beyond them */
  release(tokens?: number): void;
  /** when it was given, for `report` */
  readonly at: number;
}

/** Hands out permits in the order of asking. */
export interface Admission {
  /** requests under way and waiting */
  readonly load: number;
  /** requests that may be under way at once just now */
  readonly limit: number;
  /** resolves once a request of so many tokens may be sent; an abort throws its reason */
  acquire(tokens: number, signal: AbortSignal | undefined): Promise<Permit>;
  /** what a reply told; `limited` is a 429 */
  report(permit: Permit, signals: RateSignals, limited: boolean): void;
}

/** On a 429 the slots shrink to this part, once for all requests that were under way. */
const decrease = 0.75;

interface Waiting {
  readonly tokens: number;
  start(): void;
}

export function openAdmission(options: AdmissionOptions): Admission {
  return new Gate(options);
}

class Gate implements Admission {
  readonly #options: AdmissionOptions;
  readonly #requests: Pace;
  readonly #tokens: Pace;
  #waiting: Waiting[] = [];
  #limit: number;
  #active = 0;
  #pausedUntil = 0;
  #decreasedAt = -1;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#limit = options.concurrency;
    this.#requests = openPace(options.requestsPerMinute);
    this.#tokens = openPace(options.tokensPerMinute);
  }

  get load(): number {
    return this.#active + this.#waiting.length;
  }

  get limit(): number {
    return Math.floor(this.#limit);
  }

  acquire(needed: number, signal: AbortSignal | undefined): Promise<Permit> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting = this.#waiting.filter((each) => each !== entry);
        reject(signal?.reason as Error);
      };
      const release = (used?: number): void => {
        this.#active--;
        if (used !== undefined) this.#tokens.take(Math.min(0, used - needed), performance.now());
        this.#pump();
      };
      const start = (): void => {
        signal?.removeEventListener("abort", onAbort);
        resolve({ release, at: performance.now() });
      };
      const entry: Waiting = { tokens: needed, start };
      if (signal?.aborted === true) return onAbort();
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(entry);
      this.#pump();
    });
  }

  report({ at }: Permit, signals: RateSignals, limited: boolean): void {
    if (limited) {
      this.#pause(signals.waitMs ?? this.#options.pauseMs);
      // requests that were sent before the last decrease tell nothing new
      if (at <= this.#decreasedAt) return;
      this.#decreasedAt = performance.now();
      this.#limit = Math.max(1, Math.min(this.#limit, this.#active) * decrease);
      return;
    }
    // one slot more for a round of good replies
    this.#limit = Math.min(this.#options.concurrency, this.#limit + 1 / this.#limit);
    if (signals.requests.remaining === 0) this.#pause(signals.requests.resetMs ?? 0);
    const next = this.#waiting[0]?.tokens ?? 0;
    if ((signals.tokens.remaining ?? next) < next) this.#pause(signals.tokens.resetMs ?? 0);
  }

  #pause(ms: number): void {
    if (ms <= this.#options.longestWaitMs) this.#pausedUntil = Math.max(this.#pausedUntil, performance.now() + ms);
  }

  /** starts all that may start; sets a timer where only time is missing */
  #pump(): void {
    clearTimeout(this.#timer);
    for (let next = this.#waiting[0]; next !== undefined && this.#active < this.limit; next = this.#waiting[0]) {
      const now = performance.now();
      const wait = Math.max(this.#pausedUntil - now, this.#requests.wait(now), this.#tokens.wait(now));
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#pump(), Math.ceil(wait));
        return;
      }
      this.#waiting.shift();
      this.#active++;
      this.#requests.take(1, now);
      this.#tokens.take(next.tokens, now);
      next.start();
    }
  }
}

const minute = 60_000;
/** Timers are late by a few milliseconds: this much may be caught up. */
const catchUp = 100;

interface Pace {
  /** milliseconds until something may start */
  wait(now: number): number;
  take(amount: number, now: number): void;
}

/** Spreads amounts evenly, so that no minute holds more than `perMinute`, but for what one request is larger than its share. */
function openPace(perMinute: number | undefined): Pace {
  if (perMinute === undefined) return { wait: () => 0, take: () => undefined };
  // what may be caught up is taken off the rate, so that the cap holds in every minute
  const burst = perMinute >= minute / catchUp ? catchUp : 0;
  const each = (minute + burst) / perMinute;
  let next = 0;
  return {
    wait: (now) => next - burst - now,
    take(amount, now) {
      next = Math.max(next, now) + amount * each;
    },
  };
}
