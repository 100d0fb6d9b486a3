// Requests bought through a ledger: money set aside, intent on disk, the request, its reply on disk, the books.
import { randomBytes } from "node:crypto";
import { InputError } from "../errors.ts";
import { isFailure, type Attempt } from "./attempt.ts";
import type { Budget } from "./budget.ts";
import type { AttemptLog, OpenAttempt, Recipient } from "./endpoint.ts";
import type { Ledger } from "./ledger.ts";
import type { AnswerRow, FailedRow } from "./ledger-rows.ts";
import { costOf, showMoney } from "./price.ts";
import type { Usage } from "./wire.ts";

/**
 * What happens to a request that was sent and got no answer, so that nobody knows whether it was charged: it is left
 * alone, asked again (and perhaps charged twice), or asked again under the same `Idempotency-Key`, which the endpoint
 * is known to honour.
 */
export type DoubtPolicy = "leave" | "again" | "idempotent";

/** What a request is known by in the ledger. */
export interface Order {
  readonly key: string;
  readonly id: string;
}

/**
 * A log of attempts at one request for `Endpoint.chat`. `open` waits for room in the budget, writes the intent and
 * resolves once it is on disk; `close` writes the outcome.
 *
 * @throws InputError `BUDGET_SPENT` from `open`; RunError `LEDGER_WRITE`, `DISK_FULL`
 */
export function attemptsAt(order: Order, ledger: Ledger, budget: Budget, policy: DoubtPolicy): AttemptLog {
  let tried = 0;
  return {
    async open(to, most) {
      const reserved = costOf(most, to.price);
      if (!(await budget.reserve(reserved))) throw budgetSpent(budget, reserved);
      // a request in doubt goes under the same name, for the endpoint to see that it is the same
      const nonce = ledger.doubt(order.key)?.nonce ?? randomBytes(12).toString("hex");
      const n = ++tried;
      const row = { ...order, cost: reserved, at: now(), n, to: to.url, model: to.model, nonce };
      try {
        await ledger.append({ t: "sent", ...row });
      } catch (error) {
        budget.settle(reserved, 0);
        throw error;
      }
      return openAttempt({ order, n, nonce, to, most, reserved }, ledger, budget, policy);
    },
  };
}

/** An attempt whose intent is written. */
export interface Sent {
  readonly order: Order;
  readonly n: number;
  readonly nonce: string;
  readonly to: Recipient;
  readonly most: Usage;
  readonly reserved: number;
}

function openAttempt(sent: Sent, ledger: Ledger, budget: Budget, policy: DoubtPolicy): OpenAttempt {
  return {
    nonce: sent.nonce,
    repeatDoubt: policy !== "leave",
    async close(attempt) {
      const row = outcomeRow(sent, attempt, policy === "idempotent" && ledger.doubt(sent.order.key) !== undefined);
      const before = ledger.totals.doubt;
      await ledger.append(row);
      // what an idempotent endpoint has answered now, it has not charged before
      const settled = row.t === "answer" && row.settles === true ? before - ledger.totals.doubt : 0;
      budget.settle(sent.reserved, row.cost - settled);
    },
  };
}

/** Error bodies are kept up to here. */
const mostErrorText = 20_000;

/** The ledger's row of what came of an attempt; `settles`: the answer stands for those in doubt under its nonce too. */
export function outcomeRow(sent: Sent, attempt: Attempt | undefined, settles: boolean): AnswerRow | FailedRow {
  const { order, n, nonce, to, most, reserved } = sent;
  const common = { ...order, at: now(), n, to: to.url, ms: attempt?.ms ?? 0 };
  if (attempt === undefined)
    return { t: "failed", ...common, cost: 0, code: "NOT_SENT", got: "a stop before it", nonce };
  const { outcome, doubt, body } = attempt;
  if (!isFailure(outcome)) {
    const usage = outcome.usage ?? most;
    const counts = { cost: costOf(usage, to.price), in: usage.promptTokens, out: usage.completionTokens };
    const flags = {
      ...(outcome.usage ? {} : { uncounted: true as const }),
      ...(settles ? { settles: true as const } : {}),
    };
    return { t: "answer", ...common, ...counts, ...flags, body };
  }
  const { code, got } = outcome;
  const kept = body === "" ? {} : { body: body.slice(0, mostErrorText) };
  const unknown = doubt ? { cost: reserved, doubt: true as const } : { cost: 0 };
  return { t: "failed", ...common, ...unknown, code, got, nonce, ...kept };
}

/** `BUDGET_SPENT`: the budget has no room for a request that may cost `needed` nanodollars. */
export function budgetSpent(budget: Pick<Budget, "limit" | "spent">, needed: number): InputError {
  return new InputError("BUDGET_SPENT", {
    expected: `${showMoney(needed)} for the next request at most`,
    got: `${showMoney(Math.max(0, budget.limit - budget.spent))} left of ${showMoney(budget.limit)}`,
    where: "--budget",
    fix: "raise it, or use what has been made",
  });
}

function now(): string {
  return new Date().toISOString();
}
