// Runs a teacher at an endpoint over a source: asks what is not yet answered, keeps every answer, writes the samples.
import type { Sample, Turn } from "../data/sample.ts";
import { writeSamples } from "../data/samples.ts";
import { openBudget } from "../endpoint/budget.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { openLedger, type Ledger } from "../endpoint/ledger.ts";
import type { DoubtPolicy } from "../endpoint/ledgered.ts";
import { noKey } from "../endpoint/ledger-rows.ts";
import { replyIn } from "../endpoint/wire.ts";
import { InputError } from "../errors.ts";
import { askInBatches, type BatchOptions } from "./ask-batch.ts";
import { askAll } from "./ask.ts";
import type { TeacherKind } from "./kind.ts";
import { questionFor, requestsFor, type Skipped, type TeacherRequest } from "./messages.ts";
import { openProgress, type TeacherProgress } from "./progress.ts";
import { rereadable, type PictureSource } from "./source.ts";
import { judge } from "./verdict.ts";

export interface TeacherOptions {
  readonly kinds: readonly TeacherKind[];
  readonly endpoint: Endpoint;
  readonly model: string;
  /** the samples, as JSON or JSON lines; the ledger lies beside it */
  readonly out: string;
  /** chooses the wording of questions, and is sent to the endpoint where given */
  readonly seed?: number;
  /** nanodollars that all runs with this output may spend together; no limit unless told */
  readonly budget?: number;
  /** what to do about requests that may have been charged without an answer; "again" where requests are free, else "leave" */
  readonly inDoubt?: DoubtPolicy;
  /** ask for JSON (structured output) */
  readonly structured?: boolean;
  /** ask in batches, at the price's share for them */
  readonly batch?: Pick<BatchOptions, "api" | "batchSize" | "pollMs">;
  /** no further request starts once it is aborted; those under way may finish within five seconds */
  readonly signal?: AbortSignal;
  /** called after every answer and every failure */
  readonly onProgress?: (progress: TeacherProgress) => void;
}

/** What a finished run made. */
export interface TeacherSummary {
  readonly accepted: number;
  /** answers that were not used, by reason */
  readonly dropped: Readonly<Record<string, number>>;
  /** requests without an answer, by the endpoint's error code; running again asks for them again */
  readonly failed: Readonly<Record<string, number>>;
  /** requests that were cut off and may have been charged, and were not asked again */
  readonly inDoubt: readonly string[];
  /** the budget left no room for the next request: some were not asked */
  readonly budgetSpent: boolean;
  /** nanodollars over all runs: charged for answers, and the most that cut-off attempts may have cost */
  readonly spent: number;
  readonly doubt: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly ledger: string;
}

/** Where the ledger of an output lies. */
export function ledgerPath(out: string): string {
  return `${out}.ledger.jsonl`;
}

/**
 * Asks the endpoint for every kind of every picture and writes the accepted samples, in the order of the source. Each
 * answer is on disk in `OUT.ledger.jsonl` before anything is made of it: after a kill, running again asks only for
 * what is missing, and the output is the same as without the kill. The output appears whole or not at all.
 *
 * @throws InputError `TEACHER_EMPTY`, `BUDGET_SPENT` (before any answer), `LEDGER_BUSY`, `LEDGER_CORRUPT`,
 *   `FILE_NOT_WRITABLE`; EndpointError when the endpoint is unusable (what was answered until then stays in the
 *   ledger); RunError `LEDGER_WRITE`; the signal's reason when aborted
 */
export async function runTeacher(source: PictureSource, options: TeacherOptions): Promise<TeacherSummary> {
  const { out, signal, endpoint, kinds, model, seed, structured } = options;
  const read = await rereadable(source);
  const requests = (): AsyncGenerator<TeacherRequest | Skipped> => requestsOf(read(), options);
  const ledger = await openLedger(ledgerPath(out));
  try {
    const { totals } = ledger;
    const budget = openBudget(options.budget ?? Number.POSITIVE_INFINITY, totals.spent + totals.doubt + totals.queued);
    const count = "count" in source ? source.count : undefined;
    const total = count === undefined ? undefined : count * kinds.length;
    const progress = openProgress(total, options.onProgress, totals);
    const isFree = endpoint.price.input === 0 && endpoint.price.output === 0;
    const inDoubt = options.inDoubt ?? (isFree ? "again" : "leave");
    const { url, price } = endpoint;
    const settings = {
      url,
      model,
      price,
      seed,
      structured,
      kinds: kinds.map(({ name, version }) => ({ name, version })),
    };
    await ledger.append({ t: "run", key: noKey, cost: 0, at: new Date().toISOString(), version: 1, settings });
    const asking = { ...options, ledger, budget, progress, inDoubt, price, url };
    const { batch } = options;
    const finished =
      batch === undefined ? await askAll(requests(), asking) : await askInBatches(requests(), { ...asking, ...batch });
    signal?.throwIfAborted();
    const tally = openTally();
    await writeSamples(out, samplesOf(requests(), ledger, options, tally));
    const { failed } = progress.state();
    const left = ledger.doubts().map(({ id }) => id);
    const { spent, doubt } = totals;
    return { ...tally, failed, inDoubt: left, budgetSpent: !finished, spent, doubt, ledger: ledger.path };
  } finally {
    await ledger.close();
  }
}

export async function* requestsOf(
  pictures: ReturnType<Awaited<ReturnType<typeof rereadable>>>,
  { kinds, ...options }: Pick<TeacherOptions, "kinds" | "model" | "seed" | "structured">,
): AsyncGenerator<TeacherRequest | Skipped> {
  const makers = kinds.map((kind) => requestsFor(kind, options));
  let any = false;
  for await (const picture of pictures) {
    for (const make of makers) {
      any = true;
      yield make(picture);
    }
  }
  if (any) return;
  throw new InputError("TEACHER_EMPTY", { expected: "at least one picture and one kind", got: "none" });
}

interface Tally {
  accepted: number;
  readonly dropped: Record<string, number>;
  promptTokens: number;
  completionTokens: number;
}

function openTally(): Tally {
  return { accepted: 0, dropped: {}, promptTokens: 0, completionTokens: 0 };
}

/** The samples of all usable answers, counting every one that is not. */
async function* samplesOf(
  requests: AsyncIterable<TeacherRequest | Skipped>,
  ledger: Ledger,
  { model, seed = 0, structured }: Pick<TeacherOptions, "model" | "seed" | "structured">,
  tally: Tally,
): AsyncGenerator<Sample> {
  for await (const request of requests) {
    if ("skipped" in request) {
      tally.dropped[request.skipped] = (tally.dropped[request.skipped] ?? 0) + 1;
      continue;
    }
    const row = ledger.answer(request.key);
    if (row === undefined) continue;
    const answer = replyIn(row.body);
    tally.promptTokens += answer.usage?.promptTokens ?? 0;
    tally.completionTokens += answer.usage?.completionTokens ?? 0;
    const verdict = judge(answer, request.kind, questionFor(request, seed), structured);
    if ("reason" in verdict) {
      tally.dropped[verdict.reason] = (tally.dropped[verdict.reason] ?? 0) + 1;
      continue;
    }
    tally.accepted++;
    const conversations = verdict.pairs.flatMap(({ question, answer }, i): Turn[] => [
      { from: "human", value: i === 0 ? `<image>\n${question}` : question },
      { from: "gpt", value: answer },
    ]);
    const { id, kind, picture } = request;
    const extra = {
      teacher: answer.model ?? model,
      kind: kind.name,
      prompt_version: kind.version,
      request: request.key,
    };
    yield { id, images: [picture.image], conversations, extra, where: id };
  }
}
