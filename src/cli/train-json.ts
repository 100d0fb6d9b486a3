// A training run's events as JSON lines on stdout, for other tools.
import type { TrainEvent } from "../train/events.ts";
import { printJson } from "./output.ts";

/** Of progress, one line a second and the last are enough. */
const PROGRESS_MS = 1_000;

/** A listener that prints each event with its time (ISO 8601). */
export function printEvents(now: () => number = Date.now): (event: TrainEvent) => void {
  let printedAt = -Infinity;
  return (event) => {
    if ("progress" in event) {
      const { done, total } = event.progress;
      if (done !== total && now() - printedAt < PROGRESS_MS) return;
      printedAt = now();
    }
    printJson({ time: new Date(now()).toISOString(), ...event });
  };
}
