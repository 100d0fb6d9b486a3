// Asks a judge at an endpoint about every pair of answers, in both orders, several times; each reply is kept in a ledger.
import { openBudget, type Budget } from "../../endpoint/budget.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import { EndpointError } from "../../endpoint/failure.ts";
import { openLedger, type Ledger } from "../../endpoint/ledger.ts";
import { attemptsAt, type DoubtPolicy } from "../../endpoint/ledgered.ts";
import { unusable } from "../../endpoint/pool.ts";
import { type ChatReply, replyIn } from "../../endpoint/wire.ts";
import { InputError } from "../../errors.ts";
import { writeFileAtomic } from "../../formats/node.ts";
import { type Judge, type Judged, keyOf, type Order, orders, requestFor } from "./request.ts";
import { readScores, type Verdict } from "./verdict.ts";

export interface JudgeOptions {
  readonly judge: Judge;
  readonly endpoint: Endpoint;
  /** the verdicts, as JSON lines; the ledger lies beside it */
  readonly out: string;
  /** how often each order of each pair is judged */
  readonly repeats: number;
  /** nanodollars that all runs with this output may spend together; no limit unless told */
  readonly budget?: number;
  /** what to do about requests that may have been charged without an answer; "again" where requests are free, else "leave" */
  readonly inDoubt?: DoubtPolicy;
  /** no further request starts once it is aborted; those under way finish */
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface JudgeRun {
  readonly verdicts: readonly Verdict[];
  /** nanodollars over all runs: charged, and the most that cut-off attempts may have cost */
  readonly spent: number;
  readonly doubt: number;
}

interface Job {
  readonly judged: Judged;
  readonly order: Order;
  readonly repeat: number;
}

/**
 * Judges every pair and writes the verdicts, failed ones with their reason. Replies are on disk in `OUT.ledger.jsonl`
 * before anything is made of them: running again asks only for what is missing.
 *
 * @throws InputError `BUDGET_SPENT` (before any answer), `LEDGER_BUSY`, `LEDGER_CORRUPT`, `JUDGE_CATEGORY`; EndpointError
 *   when the endpoint is unusable; the signal's reason when aborted
 */
export async function runJudge(pairs: readonly Judged[], options: JudgeOptions): Promise<JudgeRun> {
  const { out, repeats, endpoint, judge, signal, onProgress } = options;
  const jobs = pairs.flatMap((judged) =>
    Array.from({ length: repeats }, (_, i) => orders.map((order): Job => ({ judged, order, repeat: i + 1 }))).flat(),
  );
  // a category without a rule is told before anything is asked
  for (const { category, hasBoxes } of pairs) judge.rules.of(category, hasBoxes);
  const ledger = await openLedger(`${out}.ledger.jsonl`);
  try {
    const { totals } = ledger;
    const budget = openBudget(options.budget ?? Number.POSITIVE_INFINITY, totals.spent + totals.doubt + totals.queued);
    const isFree = endpoint.price.input === 0 && endpoint.price.output === 0;
    const asking = { judge, endpoint, ledger, budget, inDoubt: options.inDoubt ?? (isFree ? "again" : "leave") };
    const verdicts: Verdict[] = [];
    const failures: unknown[] = [];
    let [next, done] = [0, 0];
    const isStopped = (): boolean => failures.length > 0 || signal?.aborted === true;
    const worker = async (): Promise<void> => {
      // what is under way is paid for: it ends before the ledger closes, whatever stops the others
      while (next < jobs.length && !isStopped()) {
        const place = next++;
        const verdict = await judgeOne(jobs[place]!, asking).catch((error: unknown) => void failures.push(error));
        if (verdict !== undefined) verdicts[place] = verdict;
        onProgress?.(++done, jobs.length);
      }
    };
    await Promise.all(Array.from({ length: endpoint.concurrency }, worker));
    if (failures.length > 0) throw failures[0];
    signal?.throwIfAborted();
    await writeFileAtomic(out, verdicts.map((verdict) => `${JSON.stringify(verdict)}\n`).join(""));
    return { verdicts, spent: totals.spent, doubt: totals.doubt };
  } finally {
    await ledger.close();
  }
}

interface Asking {
  readonly judge: Judge;
  readonly endpoint: Endpoint;
  readonly ledger: Ledger;
  readonly budget: Budget;
  readonly inDoubt: DoubtPolicy;
}

async function judgeOne({ judged, order, repeat }: Job, asking: Asking): Promise<Verdict> {
  const request = requestFor(judged, order, repeat, asking.judge);
  const key = keyOf(request, judged.id);
  const { id, category, images } = judged;
  const head = { question_id: id, category, images, order, repeat };
  const reply = await replyTo(key, `${id}, ${order}, ${repeat}`, request, asking);
  const traced = { ...head, request: key };
  if (typeof reply === "string") return { ...traced, failure: reply };
  const told = { ...traced, judge: reply.model ?? asking.judge.model, text: reply.text };
  const scores = readScores(reply.text);
  // the scores come first: an explanation that was cut off takes nothing from them
  if (scores === undefined) return { ...told, failure: reply.finishReason === "length" ? "CUT_OFF" : "NO_SCORES" };
  const [first, second] = scores;
  const [reference, candidate] = order === "reference first" ? [first, second] : [second, first];
  return { ...told, scores: { reference, candidate } };
}

/** The reply from the ledger or the endpoint, or why there is none. */
async function replyTo(
  key: string,
  id: string,
  request: ReturnType<typeof requestFor>,
  { endpoint, ledger, budget, inDoubt }: Asking,
): Promise<ChatReply | string> {
  const kept = ledger.answer(key);
  if (kept !== undefined) return replyIn(kept.body);
  if (ledger.state(key) === "doubt" && inDoubt === "leave") return "IN_DOUBT";
  try {
    const log = attemptsAt({ id, key }, ledger, budget, inDoubt);
    return await endpoint.chat(request, { log });
  } catch (error) {
    // a spent budget leaves the verdicts that were bought
    if (error instanceof InputError && error.code === "BUDGET_SPENT" && ledger.totals.answers > 0) return error.code;
    if (!(error instanceof EndpointError) || unusable.has(error.code)) throw error;
    return error.code;
  }
}
