// Books what came of a batch: every request by its key, whatever is missing, doubled or strange in the files.
import type { BatchApi, RemoteBatch } from "../endpoint/batch-api.ts";
import { readBatchLine, type BatchOutcome } from "../endpoint/batch-lines.ts";
import type { Queue } from "../endpoint/books.ts";
import type { Budget } from "../endpoint/budget.ts";
import type { Ledger } from "../endpoint/ledger.ts";
import type { AnswerRow, BatchRow, FailedRow } from "../endpoint/ledger-rows.ts";
import { costOf, type Price } from "../endpoint/price.ts";
import type { Progress } from "./progress.ts";

interface CollectOptions {
  readonly api: BatchApi;
  readonly ledger: Ledger;
  readonly budget: Budget;
  readonly progress: Progress;
  readonly price: Price;
  readonly url: string;
  readonly signal?: AbortSignal | undefined;
}

/** Rows booked together, so that they share a flush. */
const group = 500;

/** `remote` undefined: the batch was never made. Requests that an earlier run has booked are left as they are. */
export async function collectBatch(
  batch: BatchRow,
  remote: RemoteBatch | undefined,
  options: CollectOptions,
): Promise<void> {
  const { ledger, budget, progress } = options;
  const outcomes = remote === undefined ? new Map<string, BatchOutcome>() : await readOutcomes(remote, options);
  const queue = ledger.queue(batch.key);
  const missing = missingOutcome(remote, outcomes);
  for (let from = 0; from < queue.length; from += group) {
    const rows = queue
      .slice(from, from + group)
      .map((each) => rowOf(batch, each, outcomes.get(each.key) ?? missing, options));
    await Promise.all(rows.map((row) => ledger.append(row)));
    // what was never made may be asked for at once
    if (remote === undefined)
      await Promise.all(rows.map(({ key, at }) => ledger.append({ t: "again", key, cost: 0, at })));
    for (const [i, row] of rows.entries()) {
      budget.settle(0, row.cost - (queue[from + i] as Queue).cost);
      if (remote === undefined) continue;
      if (row.t === "failed") progress.failed(row.code);
      else {
        progress.used(row.in, row.out);
        progress.answered();
      }
    }
  }
  const status = remote?.status ?? "never made";
  await ledger.append({ ...batch, at: new Date().toISOString(), state: "ended", status });
}

/** The first line about each request counts; both files are read whatever the batch's status. */
async function readOutcomes(
  { output_file_id, error_file_id }: RemoteBatch,
  options: CollectOptions,
): Promise<Map<string, BatchOutcome>> {
  const outcomes = new Map<string, BatchOutcome>();
  for (const file of [output_file_id, error_file_id]) {
    if (!file) continue;
    for (const line of await options.api.download(file, options.signal)) {
      const found = readBatchLine(line);
      if (found !== undefined && !outcomes.has(found.key)) outcomes.set(found.key, found.outcome);
    }
  }
  return outcomes;
}

/** What is said of requests without a line. Where the endpoint counts more answers than it gave, they may be charged. */
function missingOutcome(remote: RemoteBatch | undefined, outcomes: ReadonlyMap<string, BatchOutcome>): BatchOutcome {
  if (remote === undefined) return { code: "BATCH_NOT_MADE", got: "no batch under its name", doubt: false, body: "" };
  const answers = [...outcomes.values()].filter((outcome) => "reply" in outcome || outcome.doubt).length;
  const claimed = remote.request_counts?.completed ?? (remote.status === "failed" ? 0 : Number.POSITIVE_INFINITY);
  const [first] = remote.errors?.data ?? [];
  const reason = first === undefined ? "" : `: ${first.code ?? ""} ${(first.message ?? "").slice(0, 200)}`;
  const got = `a batch that ${remote.status === "completed" ? "lacks its line" : `ended as ${remote.status}`}${reason}`;
  return {
    code: remote.status === "failed" ? "BATCH_FAILED" : "BATCH_MISSING",
    got,
    doubt: claimed > answers,
    body: "",
  };
}

function rowOf(
  batch: BatchRow,
  { key, id, cost }: Queue,
  outcome: BatchOutcome,
  options: CollectOptions,
): AnswerRow | FailedRow {
  const common = { key, id, at: new Date().toISOString(), n: 1, to: options.url, ms: 0 };
  if (!("reply" in outcome)) {
    const { code, got, doubt, body } = outcome;
    const kept = body === "" ? {} : { body };
    const unknown = doubt ? { cost, doubt: true as const } : { cost: 0 };
    return { t: "failed", ...common, ...unknown, code, got, nonce: batch.key, ...kept };
  }
  const { usage } = outcome.reply;
  if (usage === undefined) return { t: "answer", ...common, cost, in: 0, out: 0, uncounted: true, body: outcome.body };
  const charged = costOf(usage, options.price, options.price.batch ?? 1);
  return {
    t: "answer",
    ...common,
    cost: charged,
    in: usage.promptTokens,
    out: usage.completionTokens,
    body: outcome.body,
  };
}
