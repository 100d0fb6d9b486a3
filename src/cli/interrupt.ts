// Ctrl-C: the first asks the work under way to stop where it can go on later, the second ends the program at once.
import { log } from "./progress.ts";

/** Thrown when work was stopped by the user; exit code 130. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

// npm passes Ctrl-C on to its child, which got it from the terminal already
const ECHO_MS = 500;
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs `work` with a signal that the first Ctrl-C (or SIGTERM, SIGHUP) aborts, after writing `notice`.
 * Work that gives up by throwing makes this throw `Interrupted`; work that ends in order returns its value.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>, notice?: string): Promise<T> {
  const controller = new AbortController();
  let first: number | undefined;
  const onSignal = (): void => {
    const now = performance.now();
    if (first === undefined) {
      first = now;
      if (notice !== undefined) log(notice);
      controller.abort(new Interrupted("interrupted"));
    } else if (now - first > ECHO_MS) process.exit(130);
  };
  for (const name of signals) process.on(name, onSignal);
  try {
    return await work(controller.signal);
  } catch (error) {
    if (controller.signal.aborted && isAbort(error, controller.signal)) throw controller.signal.reason;
    throw error;
  } finally {
    for (const name of signals) process.off(name, onSignal);
  }
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === "AbortError");
}
