// What a run would ask, and what it would cost, before anything is sent.
import { KeyTable } from "../endpoint/key-table.ts";
import { openLedger, type Ledger } from "../endpoint/ledger.ts";
import { costOf, mostTokens, type Price } from "../endpoint/price.ts";
import type { Usage } from "../endpoint/wire.ts";
import { LlavaError } from "../errors.ts";
import { ledgerPath, requestsFrom, type TeacherOptions } from "./run.ts";
import type { PictureSource } from "./source.ts";

export interface TeacherPlan {
  readonly requests: number;
  readonly skipped: number;
  /** in the ledger already */
  readonly answered: number;
  readonly inDoubt: number;
  readonly toAsk: number;
  /** what is to be asked, as far as it can be told: from the ledger's answers, or assumed */
  readonly expected: Usage & { readonly cost: number };
  /** what no request can exceed; what a run sets aside before each */
  readonly most: Usage & { readonly cost: number };
  /** answers that the expectation rests on; 0: four bytes a token, and half of the longest answer */
  readonly measured: number;
  /** nanodollars spent, or perhaps spent, by earlier runs */
  readonly spent: number;
  /** undefined before the first answers, unless caps per minute tell it */
  readonly seconds?: number;
}

export interface PlanOptions extends Pick<
  TeacherOptions,
  "kinds" | "weights" | "model" | "out" | "seed" | "structured" | "sight" | "candidates"
> {
  readonly price: Price;
  readonly concurrency: number;
  readonly requestsPerMinute?: number | undefined;
  readonly tokensPerMinute?: number | undefined;
}

const bytesPerToken = 4;
const shareOfLongest = 0.5;

/** Reads the whole source and the ledger, asks nothing and writes nothing. */
export async function planTeacher(source: PictureSource, options: PlanOptions): Promise<TeacherPlan> {
  const ledger = await openLedger(ledgerPath(options.out), { readOnly: true }).catch(noLedger);
  const counts = { requests: 0, skipped: 0, answered: 0, inDoubt: 0, toAsk: 0 };
  const most = { promptTokens: 0, completionTokens: 0, cost: 0 };
  const asked = new KeyTable();
  for await (const request of (await requestsFrom(source, options))()) {
    if ("skipped" in request) counts.skipped++;
    else {
      counts.requests++;
      const state = ledger?.state(request.key) ?? "unknown";
      if (state === "answered" || asked.state(request.key) !== "unknown") counts.answered++;
      else if (state === "doubt" || state === "open") counts.inDoubt++;
      else {
        counts.toAsk++;
        asked.set(request.key, "open");
        const usage = mostTokens(request.chat());
        most.promptTokens += usage.promptTokens;
        most.completionTokens += usage.completionTokens;
        most.cost += costOf(usage, options.price);
      }
    }
  }
  const past = ledger === undefined ? undefined : await pastAnswers(ledger);
  await ledger?.close();
  const usage = expectedUsage(counts.toAsk, most, past);
  const cost = Math.min(most.cost, costOf(usage, options.price));
  const measured = past?.answers ?? 0;
  const seconds = duration(counts.toAsk, usage, past, options);
  const known = seconds === undefined ? {} : { seconds };
  return { ...counts, expected: { ...usage, cost }, most, measured, spent: past?.spent ?? 0, ...known };
}

function noLedger(error: unknown): undefined {
  if (error instanceof LlavaError && error.code === "FILE_MISSING") return undefined;
  throw error;
}

interface Past {
  readonly answers: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** milliseconds of all answers together */
  readonly ms: number;
  readonly spent: number;
}

async function pastAnswers(ledger: Ledger): Promise<Past> {
  const { answers, promptTokens, completionTokens, spent, doubt } = ledger.totals;
  let ms = 0;
  for await (const row of ledger.rows()) if (row.t === "answer") ms += row.ms;
  return { answers, promptTokens, completionTokens, ms, spent: spent + doubt };
}

function expectedUsage(requests: number, most: Usage, past: Past | undefined): Usage {
  if (past === undefined || past.answers === 0) {
    return {
      promptTokens: Math.ceil(most.promptTokens / bytesPerToken),
      completionTokens: Math.ceil(most.completionTokens * shareOfLongest),
    };
  }
  const share = requests / past.answers;
  return {
    promptTokens: Math.ceil(past.promptTokens * share),
    completionTokens: Math.ceil(past.completionTokens * share),
  };
}

/** Seconds by the answers' own pace, or by the caps where those are slower. */
function duration(requests: number, usage: Usage, past: Past | undefined, options: PlanOptions): number | undefined {
  const { concurrency, requestsPerMinute, tokensPerMinute } = options;
  const tokens = usage.promptTokens + usage.completionTokens;
  const bounds = [
    past === undefined || past.answers === 0 ? undefined : (requests * past.ms) / past.answers / concurrency / 1000,
    requestsPerMinute === undefined ? undefined : (requests / requestsPerMinute) * 60,
    tokensPerMinute === undefined ? undefined : (tokens / tokensPerMinute) * 60,
  ].filter((bound) => bound !== undefined);
  return bounds.length === 0 ? undefined : Math.max(...bounds);
}
