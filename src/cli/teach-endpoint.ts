// A teacher at an endpoint behind `llava teach`: resumable, every attempt in a ledger, money capped.
import { stat } from "node:fs/promises";
import type { CaptionedPicture } from "../data/sample.ts";
import { openBatchApi, type BatchApi } from "../endpoint/batch-api.ts";
import { openEndpoint, type Endpoint } from "../endpoint/endpoint.ts";
import { keyFrom } from "../endpoint/key.ts";
import type { DoubtPolicy } from "../endpoint/ledgered.ts";
import { readPool } from "../endpoint/pool-file.ts";
import { openPool } from "../endpoint/pool.ts";
import { batchPrice, priceOf, showMoney } from "../endpoint/price.ts";
import { InputError } from "../errors.ts";
import { builtInKinds, readBuiltInKinds, readKind, type TeacherKind } from "../teacher/kind.ts";
import { planTeacher, type TeacherPlan } from "../teacher/plan.ts";
import type { TeacherProgress } from "../teacher/progress.ts";
import { runTeacher, type TeacherSummary } from "../teacher/run.ts";
import { interruptible } from "./interrupt.ts";
import { grouped } from "./output.ts";
import { log, startProgress } from "./progress.ts";

export interface EndpointFlags {
  readonly out: string;
  readonly teacher: string;
  readonly kinds?: string;
  readonly model?: string;
  readonly keyEnv?: string;
  readonly concurrency: number;
  readonly rpm?: number;
  readonly tpm?: number;
  readonly price?: string;
  /** dollars */
  readonly budget?: number;
  readonly inDoubt?: DoubtPolicy;
  readonly structured?: boolean;
  readonly batch?: boolean;
  readonly seed: number;
}

/** What came of it, for the result. Money in dollars. */
interface Answers {
  readonly samples: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly failed: Readonly<Record<string, number>>;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly spent: number;
  readonly in_doubt: number;
  readonly in_doubt_at_most: number;
  readonly budget_spent: boolean;
  readonly ledger: string;
}

/** Asks the endpoint for every kind of every picture; running again asks only for what is missing. */
export async function askEndpoint(pictures: readonly CaptionedPicture[], flags: EndpointFlags): Promise<Answers> {
  const { seed, out, inDoubt, structured = false, budget } = flags;
  const { endpoint, model } = await openTeacher(flags);
  const batches = flags.batch ? openBatches(flags) : undefined;
  const kinds = await readKinds(flags.kinds);
  const progress = startProgress({ label: "teach", unit: "answers", total: pictures.length * kinds.length });
  const source = { pictures: () => listed(pictures), count: pictures.length };
  const notice = flags.batch
    ? "batches go on at the endpoint; the same command collects them"
    : "finishing what is under way; every answer is kept, the same command goes on";
  const summary = await interruptible((signal) => {
    const onProgress = (state: TeacherProgress): void => progress.update(done(state), note(state));
    const more = {
      ...(batches === undefined ? {} : { batch: { api: batches } }),
      ...(budget === undefined ? {} : { budget: budget * 1e9 }),
      ...(inDoubt === undefined ? {} : { inDoubt }),
    };
    return runTeacher(source, { kinds, endpoint, model, out, seed, structured, signal, onProgress, ...more });
  }, notice);
  progress.finish();
  explain(summary, flags);
  return {
    samples: summary.accepted,
    dropped: summary.dropped,
    failed: summary.failed,
    prompt_tokens: summary.promptTokens,
    completion_tokens: summary.completionTokens,
    spent: summary.spent * 1e-9,
    in_doubt: summary.inDoubt.length,
    in_doubt_at_most: summary.doubt * 1e-9,
    budget_spent: summary.budgetSpent,
    ledger: summary.ledger,
  };
}

/** What `--dry-run` prints. */
export async function planEndpoint(pictures: readonly CaptionedPicture[], flags: EndpointFlags): Promise<TeacherPlan> {
  const { endpoint, model } = await openTeacher(flags);
  const { out, seed, structured = false, rpm, tpm } = flags;
  const { concurrency } = endpoint;
  const price = flags.batch ? batchPrice(endpoint.price) : endpoint.price;
  const limits = { price, concurrency, requestsPerMinute: rpm, tokensPerMinute: tpm };
  const kinds = await readKinds(flags.kinds);
  return planTeacher({ pictures: () => listed(pictures) }, { kinds, model, out, seed, structured, ...limits });
}

/** One endpoint at an address, or several from a file. */
async function openTeacher(flags: EndpointFlags): Promise<{ endpoint: Endpoint; model: string }> {
  const { teacher, model, keyEnv, concurrency, rpm, tpm, price } = flags;
  if (/\.ya?ml$/.test(teacher)) {
    const pool = await readPool(teacher);
    const lost = (url: string, { message }: Error): void => log(`no more requests to ${url}: ${message}`);
    return { endpoint: openPool(pool.members, lost), model: model ?? pool.model };
  }
  if (model === undefined) {
    const fix = "add --model NAME, as the endpoint calls it";
    throw new InputError("TEACHER_MODEL", { expected: "a model to ask", got: "none", where: teacher, fix });
  }
  const key = keyFrom(keyEnv);
  const limits = {
    ...(key === undefined ? {} : { key }),
    ...(rpm === undefined ? {} : { requestsPerMinute: rpm }),
    ...(tpm === undefined ? {} : { tokensPerMinute: tpm }),
  };
  // an address that is none is told before its price is looked for
  openEndpoint({ baseUrl: teacher, ...limits });
  const endpoint = openEndpoint({ baseUrl: teacher, concurrency, price: priceOf(teacher, model, price), ...limits });
  return { endpoint, model };
}

function openBatches({ teacher, keyEnv }: EndpointFlags): BatchApi {
  if (/\.ya?ml$/.test(teacher)) {
    const fix = "name one endpoint's address, or leave --batch out";
    throw new InputError("BATCH_POOL", { expected: "one endpoint for batches", got: "several", where: teacher, fix });
  }
  const key = keyFrom(keyEnv);
  return openBatchApi({ baseUrl: teacher, ...(key === undefined ? {} : { key }) });
}

function explain(
  { inDoubt, doubt, failed, budgetSpent, spent }: TeacherSummary,
  { out, budget = 0 }: EndpointFlags,
): void {
  if (budgetSpent)
    log(`the budget of ${showMoney(budget * 1e9)} leaves no room for the next request: the rest was not asked`);
  for (const [code, n] of Object.entries(failed))
    log(`${grouped(n)} requests failed with ${code}; the same command asks for them again`);
  if (inDoubt.length > 0)
    log(
      `${grouped(inDoubt.length)} requests were cut off and may have been charged; to ask for them again: llava teach retry ${out}`,
    );
  if (spent + doubt > 0)
    log(
      `spent ${showMoney(spent)}${doubt > 0 ? `, and ${showMoney(doubt)} at most for attempts that were cut off` : ""}`,
    );
}

async function* listed(pictures: readonly CaptionedPicture[]): AsyncGenerator<CaptionedPicture> {
  yield* pictures;
}

/** Built-in kinds by name; a folder with prompt.md is a kind of the user's own. */
async function readKinds(text: string | undefined): Promise<TeacherKind[]> {
  const names = text?.split(",").map((name) => name.trim()) ?? [...builtInKinds];
  const kinds = names.map(async (name) => {
    const isFolder = (await stat(name).catch(() => undefined))?.isDirectory() === true;
    return isFolder ? [await readKind(name)] : readBuiltInKinds([name]);
  });
  return (await Promise.all(kinds)).flat();
}

function done({ resumed, accepted, answered, inDoubt, dropped, failed }: TeacherProgress): number {
  return resumed + accepted + answered + inDoubt + sum(dropped) + sum(failed);
}

function note({ dropped, failed, retries, completionTokens, spent }: TeacherProgress): string {
  const parts = [`${grouped(completionTokens)} tokens written`];
  if (spent > 0) parts.push(showMoney(spent));
  if (sum(dropped) > 0) parts.push(`${grouped(sum(dropped))} dropped`);
  if (sum(failed) > 0) parts.push(`${grouped(sum(failed))} failed`);
  if (retries > 0) parts.push(`${grouped(retries)} retries`);
  return parts.join(", ");
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, n) => total + n, 0);
}
