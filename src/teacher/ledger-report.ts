// What a ledger tells its reader: sums by outcome and endpoint, consent to ask again, and its attempts as a table.
import type { Ledger } from "../endpoint/ledger.ts";
import type { LedgerRow } from "../endpoint/ledger-rows.ts";
import { replyIn } from "../endpoint/wire.ts";

/** Money in dollars. */
export interface LedgerStatus {
  readonly runs: number;
  readonly answers: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly spent: number;
  /** failed attempts by code, those that were repeated with success included */
  readonly failed: Readonly<Record<string, number>>;
  /** requests without an answer that may have been charged, and the most that all such attempts may have cost */
  readonly in_doubt: number;
  readonly in_doubt_at_most: number;
  readonly by_endpoint: Readonly<Record<string, { readonly answers: number; readonly spent: number }>>;
  readonly open_batches: number;
  readonly first?: string;
  readonly last?: string;
}

const nano = 1e-9;

/** Reads the whole ledger once. */
export async function statusOf(ledger: Ledger): Promise<LedgerStatus> {
  const failed: Record<string, number> = {};
  const endpoints = new Map<string, { answers: number; spent: number }>();
  let runs = 0;
  let [first, last]: (string | undefined)[] = [];
  for await (const row of ledger.rows()) {
    first ??= row.at;
    last = row.at;
    if (row.t === "run") runs++;
    if (row.t === "failed") failed[row.code] = (failed[row.code] ?? 0) + 1;
    if (row.t !== "answer") continue;
    const { answers, spent } = endpoints.get(row.to) ?? { answers: 0, spent: 0 };
    endpoints.set(row.to, { answers: answers + 1, spent: spent + row.cost * nano });
  }
  const { answers, promptTokens, completionTokens, spent, doubt } = ledger.totals;
  return {
    runs,
    answers,
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    spent: spent * nano,
    failed,
    in_doubt: ledger.doubts().length,
    in_doubt_at_most: doubt * nano,
    by_endpoint: Object.fromEntries(endpoints),
    open_batches: ledger.batches.size,
    ...(first === undefined ? {} : { first }),
    ...(last === undefined ? {} : { last }),
  };
}

/** Writes the user's consent: the next run asks again for all requests in doubt. Returns how many, and their cost at most. */
export async function askDoubtsAgain(ledger: Ledger): Promise<{ requests: number; atMost: number }> {
  const doubts = ledger.doubts();
  const at = new Date().toISOString();
  await Promise.all(doubts.map(({ key }) => ledger.append({ t: "again", key, cost: 0, at })));
  return { requests: doubts.length, atMost: doubts.reduce((sum, { cost }) => sum + cost, 0) };
}

const columns = ["at", "id", "key", "endpoint", "attempt", "outcome", "in_doubt", "ms", "prompt_tokens"] as const;
const allColumns = [...columns, "completion_tokens", "dollars", "text"] as const;
type Attempt = Record<(typeof allColumns)[number], string | number | boolean>;

/** One line for every attempt, failed ones included: CSV with a head line, or JSON lines. */
export async function* exportAttempts(ledger: Ledger, format: "csv" | "jsonl"): AsyncGenerator<Uint8Array> {
  if (format === "csv") yield Buffer.from(`${allColumns.join(",")}\n`);
  for await (const row of ledger.rows()) {
    const attempt = attemptOf(row);
    if (attempt === undefined) continue;
    const line =
      format === "csv" ? allColumns.map((name) => csvField(attempt[name])).join(",") : JSON.stringify(attempt);
    yield Buffer.from(`${line}\n`);
  }
}

function attemptOf(row: LedgerRow): Attempt | undefined {
  if (row.t !== "answer" && row.t !== "failed") return undefined;
  const answered = row.t === "answer";
  return {
    at: row.at,
    id: row.id,
    key: row.key,
    endpoint: row.to,
    attempt: row.n,
    outcome: answered ? "answer" : row.code,
    in_doubt: !answered && row.doubt === true,
    ms: row.ms,
    prompt_tokens: answered ? row.in : 0,
    completion_tokens: answered ? row.out : 0,
    dollars: Number((row.cost * nano).toFixed(9)),
    text: answered ? replyIn(row.body).text : row.got,
  };
}

function csvField(value: string | number | boolean): string {
  const text = String(value);
  // a formula in a cell would be run by a spreadsheet
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
