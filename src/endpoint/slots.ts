// A bounded number of requests at once, and a pause that holds all of them back.

/** Hands out slots; whoever waits is served in order. */
export interface Slots {
  /** runs the work once a slot is free and no pause is on */
  run<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T>;
  /** nothing starts for the next `ms` milliseconds */
  pause(ms: number): void;
}

export function openSlots(most: number): Slots {
  let free = most;
  let pausedUntil = 0;
  const waiting: (() => void)[] = [];
  const release = (): void => {
    const next = waiting.shift();
    if (next === undefined) free++;
    else next();
  };
  return {
    async run(work, signal) {
      if (free > 0) free--;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        // several pauses may follow one another
        for (let left = pausedUntil - Date.now(); left > 0; left = pausedUntil - Date.now()) await sleep(left, signal);
        signal?.throwIfAborted();
        return await work();
      } finally {
        release();
      }
    },
    pause(ms) {
      pausedUntil = Math.max(pausedUntil, Date.now() + ms);
    },
  };
}

/** Waits; an abort ends it by throwing the abort's reason. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
