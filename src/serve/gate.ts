// Who may come in and whose turn it is: a bounded queue before a bounded number of answers under way.
import { RequestError } from "./errors.ts";

interface Waiting {
  readonly places: number;
  readonly start: () => void;
}

/** One request inside; it ends with `leave`, or by itself as soon as its client leaves. */
export interface Ticket {
  /** aborted when the client leaves, or when the server's end can wait no longer */
  readonly signal: AbortSignal;
  /** Waits for `places` of the answers that are computed side by side, first come first served; rejects when aborted. */
  turn(places: number): Promise<void>;
  /** Gives everything back; may be called again. */
  leave(): void;
}

/** Counts requests. All of them leave before `drain` resolves. */
export class Gate {
  readonly #parallel: number;
  readonly #queue: number;
  readonly #waiting = new Set<Waiting>();
  readonly #inside = new Set<AbortController>();
  #taken = 0;
  #closed = false;
  /** how long a request is inside, in seconds, recent ones counting most */
  #usual = 1;
  #emptied: (() => void) | undefined;

  constructor({ parallel, queue }: { readonly parallel: number; readonly queue: number }) {
    this.#parallel = parallel;
    this.#queue = queue;
  }

  /** places taken by answers under way */
  get taken(): number {
    return this.#taken;
  }

  /** requests inside that have no place yet */
  get waiting(): number {
    return this.#waiting.size;
  }

  get inside(): number {
    return this.#inside.size;
  }

  /** true once the server is about to end */
  get closed(): boolean {
    return this.#closed;
  }

  /** Lets a request in. Throws `RATE_LIMIT_EXCEEDED` when too many are inside, `SERVER_ENDING` when none may come. */
  enter(client: AbortSignal): Ticket {
    if (this.#closed) throw ending();
    if (this.#inside.size >= this.#parallel + this.#queue) throw this.#busy();
    const controller = new AbortController();
    const started = performance.now();
    let places = 0;
    let left = false;
    const leave = (): void => {
      if (left) return;
      left = true;
      client.removeEventListener("abort", onAbort);
      this.#inside.delete(controller);
      this.#give(places);
      if (!controller.signal.aborted) this.#usual += ((performance.now() - started) / 1000 - this.#usual) / 8;
      if (this.#inside.size === 0) this.#emptied?.();
    };
    const onAbort = (): void => {
      controller.abort(client.reason);
      leave();
    };
    this.#inside.add(controller);
    client.addEventListener("abort", onAbort);
    if (client.aborted) onAbort();
    return {
      signal: controller.signal,
      turn: async (wanted) => {
        await this.#turn(wanted, controller.signal);
        places = wanted;
        // it left between its turn and this line
        if (left) this.#give(places);
        controller.signal.throwIfAborted();
      },
      leave,
    };
  }

  /** Lets nobody in any more; resolves when all have left, `ms` later at the latest, when they are made to. */
  async drain(ms: number): Promise<void> {
    this.#closed = true;
    if (this.#inside.size === 0) return;
    const emptied = new Promise<void>((resolve) => (this.#emptied = resolve));
    const timer = setTimeout(() => {
      for (const controller of this.#inside) controller.abort(ending());
    }, ms);
    await emptied;
    clearTimeout(timer);
  }

  #turn(places: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const entry: Waiting = { places, start: () => (done(), resolve()) };
      const onAbort = (): void => (done(), reject(signal.reason), this.#advance());
      const done = (): void => {
        this.#waiting.delete(entry);
        signal.removeEventListener("abort", onAbort);
      };
      signal.addEventListener("abort", onAbort);
      this.#waiting.add(entry);
      if (signal.aborted) onAbort();
      else this.#advance();
    });
  }

  /** The first in line waits until there is room for all that it wants, so that nobody waits for ever. */
  #advance(): void {
    for (const entry of this.#waiting) {
      if (this.#taken + entry.places > this.#parallel) return;
      this.#taken += entry.places;
      entry.start();
    }
  }

  #give(places: number): void {
    this.#taken -= places;
    this.#advance();
  }

  #busy(): RequestError {
    const seconds = Math.min(60, Math.max(1, (this.#usual * this.#inside.size) / this.#parallel));
    return new RequestError(429, "RATE_LIMIT_EXCEEDED", {
      expected: `at most ${this.#parallel + this.#queue} requests at once`,
      got: "one more",
      fix: `try again in ${Math.ceil(seconds)} s`,
      retryAfter: seconds,
    });
  }
}

function ending(): RequestError {
  return new RequestError(503, "SERVER_ENDING", {
    expected: "a server that goes on",
    got: "one that is about to end",
    fix: "try again soon",
    retryAfter: 5,
  });
}
