// Runs a teacher at an endpoint over a source: asks what is not yet answered, keeps every answer, writes the samples.
import { writeSamples } from "../data/samples.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Ledger } from "../endpoint/ledger.ts";
import type { DoubtPolicy } from "../endpoint/ledgered.ts";
import { noKey, type RunRow } from "../endpoint/ledger-rows.ts";
import type { Meeting } from "../queue/shared.ts";
import type { BatchOptions } from "./ask-batch.ts";
import type { AskedUntil } from "./ask.ts";
import { candidatesOf } from "./candidates.ts";
import { openLocalDesk, type Desk } from "./desk.ts";
import { acceptedOf, opinionRequests, sampleOf, type Tally } from "./harvest.ts";
import type { TeacherKind } from "./kind.ts";
import type { Skipped, TeacherRequest } from "./messages.ts";
import type { Opinion } from "./opinions.ts";
import type { Sight } from "./pictures.ts";
import { openProgress, type TeacherProgress } from "./progress.ts";
import { openSharedDesk } from "./shared-desk.ts";
import { openSheets } from "./sheet.ts";
import { rereadable, type PictureSource } from "./source.ts";

export interface TeacherOptions {
  readonly kinds: readonly TeacherKind[];
  /** how often each kind is asked beside one of weight 1, by name */
  readonly weights?: ReadonlyMap<string, number>;
  readonly endpoint: Endpoint;
  readonly model: string;
  /** the samples, as JSON or JSON lines; the ledger lies beside it */
  readonly out: string;
  /** the folder of the pictures, which an output in Parquet holds */
  readonly images?: string;
  /** chooses the wording of questions, and is sent to the endpoint where given */
  readonly seed?: number;
  /** so many samples are enough; all that come unless told */
  readonly rows?: number;
  /** most requests; all pictures and kinds unless told */
  readonly candidates?: number;
  /** nanodollars that all runs with this output may spend together; no limit unless told */
  readonly budget?: number;
  /** what to do about requests that may have been charged without an answer; "again" where requests are free, else "leave" */
  readonly inDoubt?: DoubtPolicy;
  /** ask for JSON (structured output) */
  readonly structured?: boolean;
  /** pictures go along, for a teacher that sees; not with `batch` */
  readonly sight?: Sight;
  /** ask in batches, at the price's share for them */
  readonly batch?: Pick<BatchOptions, "api" | "batchSize" | "pollMs">;
  /** where workers meet that share requests, answers and budget; this machine alone unless told. Not with `batch` */
  readonly queue?: Meeting;
  /** asked about every sample that passed the checks, each at its endpoint */
  readonly opinions?: readonly { readonly opinion: Opinion; readonly endpoint: Endpoint }[];
  /** no further request starts once it is aborted; those under way may finish within five seconds */
  readonly signal?: AbortSignal;
  /** called after every answer and every failure */
  readonly onProgress?: (progress: TeacherProgress) => void;
}

/** What a finished run made. */
export interface TeacherSummary {
  readonly accepted: number;
  /** answers that were not used, by reason; each stands in `OUT.dropped.jsonl` */
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
 * With a queue the ledger lies in its database, and what lies beside the output is a copy: the same call on several
 * machines shares the work, and each writes the same output.
 *
 * @throws InputError `TEACHER_EMPTY`, `BUDGET_SPENT` (before any answer), `LEDGER_BUSY`, `LEDGER_CORRUPT`,
 *   `FILE_NOT_WRITABLE`, `QUEUE_…`; EndpointError when the endpoint is unusable (what was answered until then stays in
 *   the ledger); RunError `LEDGER_WRITE`, `QUEUE_LOST`; the signal's reason when aborted
 */
export async function runTeacher(source: PictureSource, options: TeacherOptions): Promise<TeacherSummary> {
  const { out, rows } = options;
  const requests = await requestsFrom(source, options);
  const desk = await openDesk(options);
  try {
    for (let enough = rows; ;) {
      const { until, failed } = await ask(requests, count(source, options), { ...options, desk, enough });
      const ledger = await desk.read();
      const { accepted, drops, ...tokens } = await harvest(requests, ledger, options);
      // what checks took away is asked for again, as long as there are candidates
      if (rows !== undefined && accepted < rows && until === "enough") {
        enough = isJudgedLater(options)
          ? moreRequests(enough as number, accepted, rows)
          : (enough as number) + rows - accepted;
        continue;
      }
      await drops.write(out);
      const inDoubt = ledger.doubts().map(({ id }) => id);
      const { spent, doubt } = desk.money;
      const budgetSpent = until === "spent";
      const failures = await desk.failures(failed);
      const told = { accepted, dropped: drops.counts, failed: failures, inDoubt, budgetSpent, spent, doubt };
      return { ...told, ...tokens, ledger: ledger.path };
    }
  } finally {
    await desk.close();
  }
}

/** In batches, and by many workers, answers are judged when all have come: so many requests are asked at a time. */
function isJudgedLater({ batch, queue }: TeacherOptions): boolean {
  return batch !== undefined || queue !== undefined;
}

/** How many requests will give enough rows, if the rest gives as many as those did. */
function moreRequests(asked: number, accepted: number, rows: number): number {
  const share = Math.max(accepted / asked, worstShare);
  return asked + Math.ceil((rows - accepted) / share);
}

/** Where hardly an answer was good, the next step is no longer than this makes it. */
const worstShare = 0.1;

function openDesk(options: TeacherOptions): Promise<Desk> {
  const { out, queue, budget = Number.POSITIVE_INFINITY } = options;
  const [path, run] = [ledgerPath(out), runRow(options)];
  return queue === undefined ? openLocalDesk(path, budget, run) : openSharedDesk(queue, path, budget, run);
}

/** What a source gives to ask, as often as it is called. */
export async function requestsFrom(
  source: PictureSource,
  options: Pick<TeacherOptions, "kinds" | "model" | "seed" | "structured" | "sight" | "weights" | "candidates">,
): Promise<() => AsyncGenerator<TeacherRequest | Skipped>> {
  const read = await rereadable(source);
  const sheets = await openSheets(read(), options.seed ?? 0);
  const pictures = "count" in source ? source.count : undefined;
  return () => candidatesOf(read(), pictures, { ...options, sheets, most: options.candidates });
}

function count(source: PictureSource, { kinds, candidates }: TeacherOptions): number | undefined {
  const pictures = "count" in source ? source.count : undefined;
  if (pictures === undefined) return candidates;
  return Math.min(pictures * kinds.length, candidates ?? Number.POSITIVE_INFINITY);
}

interface AskOptions extends TeacherOptions {
  readonly desk: Desk;
  readonly enough: number | undefined;
}

/** Asks for conversations, then for opinions on them. */
async function ask(
  requests: () => AsyncGenerator<TeacherRequest | Skipped>,
  total: number | undefined,
  options: AskOptions,
): Promise<{ until: AskedUntil; failed: Readonly<Record<string, number>> }> {
  const { desk, batch, signal, enough, onProgress, opinions = [], sight } = options;
  const seeing = (endpoint: Endpoint): Endpoint => sight?.show(endpoint) ?? endpoint;
  const endpoint = seeing(options.endpoint);
  const progress = openProgress(total, onProgress, desk.money);
  let until = await desk.ask(requests, {
    ...{ endpoint, progress, batch, enough, signal },
    inDoubt: doubtPolicy(endpoint, options),
  });
  signal?.throwIfAborted();
  for (const { opinion, endpoint } of opinions) {
    const ledger = await desk.read();
    const about = (): ReturnType<typeof opinionRequests> => opinionRequests(acceptedOf(requests(), ledger), opinion);
    const asking = { endpoint: seeing(endpoint), signal, progress: openProgress(undefined, onProgress, desk.money) };
    if ((await desk.ask(about, { ...asking, inDoubt: doubtPolicy(endpoint, options) })) === "spent") until = "spent";
    signal?.throwIfAborted();
  }
  return { until, failed: progress.state().failed };
}

function doubtPolicy({ price }: Endpoint, { inDoubt }: Pick<TeacherOptions, "inDoubt">): DoubtPolicy {
  return inDoubt ?? (price.input === 0 && price.output === 0 ? "again" : "leave");
}

/** Writes all samples that the ledger's answers make. */
async function harvest(
  requests: () => AsyncGenerator<TeacherRequest | Skipped>,
  ledger: Ledger,
  { out, images, model, opinions = [], rows }: TeacherOptions,
): Promise<Tally> {
  const found = acceptedOf(
    requests(),
    ledger,
    opinions.map(({ opinion }) => opinion),
    rows,
  );
  const samples = (async function* () {
    for await (const accepted of found) yield sampleOf(accepted, model);
  })();
  await writeSamples(out, samples, images);
  return found.tally;
}

function runRow({ endpoint, model, seed, structured, kinds, rows, candidates }: TeacherOptions): RunRow {
  const { url, price } = endpoint;
  const versions = kinds.map(({ name, version }) => ({ name, version }));
  const settings = { url, model, price, seed, structured, rows, candidates, kinds: versions };
  return { t: "run", key: noKey, cost: 0, at: new Date().toISOString(), version: 1, settings };
}
