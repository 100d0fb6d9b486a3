// Requests bought through a shared ledger: money set aside for all workers at once, intent and outcome in the database.
import { randomBytes } from "node:crypto";
import type { AttemptLog, OpenAttempt, Recipient } from "../endpoint/endpoint.ts";
import { sleep } from "../endpoint/endpoint.ts";
import { budgetSpent, outcomeRow, type DoubtPolicy, type Order } from "../endpoint/ledgered.ts";
import { costOf } from "../endpoint/price.ts";
import type { Usage } from "../endpoint/wire.ts";
import type { Lease } from "./lease.ts";
import type { Opened, SharedLedger } from "./shared-ledger.ts";

/** Thrown by an attempt at a request that another worker is asking, or has the answer to. */
export class AskedElsewhere extends Error {
  override readonly name = "AskedElsewhere";
}

/** Between looks whether attempts under way have given money back. */
const roomMs = 200;

export interface AttemptOptions {
  readonly ledger: SharedLedger;
  readonly lease: Lease;
  /** nanodollars that all workers may spend together; Infinity for no limit */
  readonly limit: number;
  readonly policy: DoubtPolicy;
  /** ends the wait for room */
  readonly signal: AbortSignal;
}

/**
 * A log of attempts at one request for `Endpoint.chat`, as `attemptsAt` is for a ledger of this machine.
 *
 * @throws InputError `BUDGET_SPENT` from `open`; `AskedElsewhere`
 */
export function sharedAttempts(order: Order, options: AttemptOptions): AttemptLog {
  let tried = 0;
  return {
    async open(to, most) {
      const n = ++tried;
      const opened = await openOnce({ ...order, n, to: to.url, cost: costOf(most, to.price) }, options);
      return attemptOf(order, n, { to, most }, opened, options);
    },
  };
}

async function openOnce(
  intent: Order & { readonly n: number; readonly to: string; readonly cost: number },
  { ledger, lease, limit, signal }: AttemptOptions,
): Promise<Opened> {
  const nonce = randomBytes(12).toString("hex");
  for (;;) {
    signal.throwIfAborted();
    const opened = await ledger.begin({ ...intent, nonce }, limit, lease.worker);
    if (typeof opened !== "string") return opened;
    if (opened === "busy" || opened === "answered") throw new AskedElsewhere(opened);
    if (opened === "lease lost") await lease.beat();
    else {
      const { spent, doubt, reserved } = await ledger.totals();
      // nothing is under way anywhere that could give something back
      if (reserved === 0 && spent + doubt + intent.cost > limit)
        throw budgetSpent({ limit, spent: spent + doubt }, intent.cost);
      await sleep(roomMs, signal);
    }
  }
}

function attemptOf(
  order: Order,
  n: number,
  sent: { readonly to: Recipient; readonly most: Usage },
  { seq, nonce, inDoubt }: Opened,
  { ledger, policy }: AttemptOptions,
): OpenAttempt {
  const reserved = costOf(sent.most, sent.to.price);
  const isIdempotent = policy === "idempotent";
  return {
    nonce,
    repeatDoubt: policy !== "leave",
    close: (attempt) =>
      ledger.end(
        seq,
        outcomeRow({ order, n, nonce, reserved, ...sent }, attempt, isIdempotent && inDoubt),
        isIdempotent,
      ),
  };
}
