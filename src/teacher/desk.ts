// Where a run asks and keeps what it is answered: here, the ledger of this machine.
import { openBudget } from "../endpoint/budget.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { openLedger, type Ledger } from "../endpoint/ledger.ts";
import type { DoubtPolicy } from "../endpoint/ledgered.ts";
import type { RunRow } from "../endpoint/ledger-rows.ts";
import { askInBatches, type BatchOptions } from "./ask-batch.ts";
import { askAll, type AskedUntil } from "./ask.ts";
import { firstOf } from "./candidates.ts";
import type { Askable, Skipped } from "./messages.ts";
import type { Progress } from "./progress.ts";

export interface Asking {
  readonly endpoint: Endpoint;
  readonly progress: Progress;
  readonly inDoubt: DoubtPolicy;
  /** ask in batches */
  readonly batch?: Pick<BatchOptions, "api" | "batchSize" | "pollMs"> | undefined;
  /** so many good answers are enough; or, where answers are not judged as they come, so many requests */
  readonly enough?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Nanodollars over all runs. */
export interface Money {
  readonly spent: number;
  readonly doubt: number;
}

export interface Desk {
  /** as far as it is known here, for progress */
  readonly money: Money;
  /** Asks for all that has no answer yet. Tells why it ended; throws what made the endpoint unusable. */
  ask(requests: () => AsyncGenerator<Askable | Skipped>, asking: Asking): Promise<AskedUntil>;
  /** every answer so far; valid until the next call, or the end */
  read(): Promise<Ledger>;
  /** requests without an answer, by code; `own`: those that failed in this process */
  failures(own: Readonly<Record<string, number>>): Promise<Readonly<Record<string, number>>>;
  close(): Promise<void>;
}

/** A ledger beside the output; one process at a time. Throws what `openLedger` throws. */
export async function openLocalDesk(path: string, limit: number, run: RunRow): Promise<Desk> {
  const ledger = await openLedger(path);
  const { totals } = ledger;
  const budget = openBudget(limit, totals.spent + totals.doubt + totals.queued);
  try {
    await ledger.append(run);
  } catch (error) {
    await ledger.close();
    throw error;
  }
  return {
    money: totals,
    async ask(requests, { batch, enough, ...asking }) {
      if (batch === undefined) return askAll(requests(), { ...asking, ledger, budget, enough });
      const { price, url } = asking.endpoint;
      const first = firstOf(requests(), enough);
      const until = await askInBatches(first.requests, { ...asking, ...batch, ledger, budget, price, url });
      return until === "end" && first.cut() ? "enough" : until;
    },
    read: () => Promise.resolve(ledger),
    failures: (own) => Promise.resolve(own),
    close: () => ledger.close(),
  };
}
