// A teacher at an endpoint behind `llava teach`: resumable, every attempt in a ledger, money capped.
import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { openBatchApi, type BatchApi } from "../endpoint/batch-api.ts";
import { openEndpoint, type Endpoint } from "../endpoint/endpoint.ts";
import { keyFrom } from "../endpoint/key.ts";
import type { DoubtPolicy } from "../endpoint/ledgered.ts";
import { readPool } from "../endpoint/pool-file.ts";
import { openPool } from "../endpoint/pool.ts";
import { batchPrice, free, priceOf } from "../endpoint/price.ts";
import { InputError } from "../errors.ts";
import { readBuiltInKinds, readKind, usualKinds, type TeacherKind } from "../teacher/kind.ts";
import { localEndpoint } from "../teacher/local.ts";
import { openBlindTest, openJudge } from "../teacher/opinions.ts";
import { openSight } from "../teacher/pictures.ts";
import { planTeacher, type TeacherPlan } from "../teacher/plan.ts";
import type { TeacherProgress } from "../teacher/progress.ts";
import { ledgerPath, runTeacher, type TeacherOptions } from "../teacher/run.ts";
import { withAssistant } from "./assistant.ts";
import { interruptible } from "./interrupt.ts";
import { log, startProgress } from "./progress.ts";
import { meetingOf, refreshCopyIfAny } from "./teach-queue.ts";
import { isPoolFile, localPath } from "./teach-readers.ts";
import { done, explain, note } from "./teach-view.ts";
import type { Pictures } from "./teaching.ts";

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
  readonly withPictures?: boolean;
  readonly batch?: boolean;
  /** a database where workers meet, and the name that they share */
  readonly queue?: string;
  readonly queueName?: string;
  /** the folder of the pictures */
  readonly images?: string;
  /** so many samples are enough */
  readonly rows?: number;
  readonly candidates?: number;
  /** a model that is asked about every sample; where, and at which price */
  readonly judge?: string;
  readonly judgeAt?: string;
  readonly judgePrice?: string;
  readonly blindTest?: boolean;
  readonly seed: number;
}

/** What a model of some hundred million weights can write. */
const smallKinds = ["rephrase"] as const;
/** Where a number of rows is asked for: so many more requests may be made, since some answers are dropped. */
const spareRequests = 1.4;

/** What came of it, for the result. Money in dollars. */
interface Answers {
  readonly samples: number;
  readonly kinds: readonly { readonly name: string; readonly version: number }[];
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
export function askEndpoint(pictures: Pictures, flags: EndpointFlags): Promise<Answers> {
  const sight = sightOf(flags);
  return withTeacher(flags, (teacher) => askTeacher(pictures, flags, { ...teacher, ...sight }));
}

async function askTeacher(
  pictures: Pictures,
  flags: EndpointFlags,
  { endpoint, model, ...sight }: Teacher & Pick<TeacherOptions, "sight">,
): Promise<Answers> {
  const { seed, out, inDoubt, structured = false, budget } = flags;
  const queue = meetingOf(out, flags);
  const batches = flags.batch ? openBatches(flags) : undefined;
  const chosen = await chooseKinds(flags);
  const opinions = await openOpinions(endpoint, model, flags);
  const total = Math.min(pictures.count * chosen.kinds.length, chosen.candidates ?? Number.POSITIVE_INFINITY);
  const progress = startProgress({ label: "teach", unit: "answers", total });
  const notice = flags.batch
    ? "batches go on at the endpoint; the same command collects them"
    : "finishing what is under way; every answer is kept, the same command goes on";
  const summary = await interruptible((signal) => {
    const onProgress = (state: TeacherProgress): void => progress.update(done(state), note(state));
    const more = {
      ...(batches === undefined ? {} : { batch: { api: batches } }),
      ...(queue === undefined ? {} : { queue }),
      ...(budget === undefined ? {} : { budget: budget * 1e9 }),
      ...(inDoubt === undefined ? {} : { inDoubt }),
      ...(flags.rows === undefined ? {} : { rows: flags.rows }),
      ...(flags.images === undefined ? {} : { images: flags.images }),
    };
    const asked = { endpoint, model, out, seed, structured, opinions, signal, onProgress };
    return runTeacher(pictures, { ...chosen, ...asked, ...more, ...sight });
  }, notice);
  progress.finish();
  explain(summary, flags);
  return {
    samples: summary.accepted,
    kinds: chosen.kinds.map(({ name, version }) => ({ name, version })),
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
export async function planEndpoint(pictures: Pictures, flags: EndpointFlags): Promise<TeacherPlan> {
  const queue = meetingOf(flags.out, flags);
  if (queue !== undefined) await refreshCopyIfAny(queue, ledgerPath(flags.out));
  const isLocal = localPath(flags.teacher) !== undefined;
  const { endpoint, model } = isLocal ? { endpoint: inProcess, model: flags.teacher } : await openTeacher(flags);
  const { out, seed, structured = false, rpm, tpm } = flags;
  const { concurrency } = endpoint;
  const price = flags.batch ? batchPrice(endpoint.price) : endpoint.price;
  const limits = { price, concurrency, requestsPerMinute: rpm, tokensPerMinute: tpm };
  const asked = { model, out, seed, structured, ...sightOf(flags) };
  return planTeacher(pictures, { ...(await chooseKinds(flags)), ...asked, ...limits });
}

/** Pictures go along with requests to an endpoint that takes them. */
function sightOf({ withPictures, images, teacher, batch }: EndpointFlags): Pick<TeacherOptions, "sight"> {
  if (withPictures !== true || images === undefined) return {};
  if (batch !== true && localPath(teacher) === undefined) return { sight: openSight(images) };
  const got = batch === true ? "--batch" : teacher;
  const fix = "leave one of them out";
  throw new InputError("PICTURES_TEACHER", {
    expected: "an endpoint that takes pictures",
    got,
    where: "--with-pictures",
    fix,
  });
}

interface Teacher {
  readonly endpoint: Endpoint;
  readonly model: string;
}

/** A model of ours is loaded for the time of the work; endpoints need no end. */
async function withTeacher<T>(flags: EndpointFlags, work: (teacher: Teacher) => Promise<T>): Promise<T> {
  const path = localPath(flags.teacher);
  if (path === undefined) return work(await openTeacher(flags));
  const name = basename(resolve(path));
  return withAssistant(path, {}, (assistant) =>
    work({ endpoint: localEndpoint(assistant, name), model: `local:${name}` }),
  );
}

/** What a plan needs to know of a model that is not loaded for it. */
const inProcess = { concurrency: 1, price: free };

/** One endpoint at an address, or several from a file. */
async function openTeacher(flags: EndpointFlags): Promise<Teacher> {
  const { teacher, model, keyEnv, concurrency, rpm, tpm, price } = flags;
  if (isPoolFile(teacher)) {
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

function openBatches({ teacher, keyEnv, queue }: EndpointFlags): BatchApi {
  if (queue !== undefined) {
    const fix = "leave one of them out: a batch goes on at the endpoint without a worker";
    throw new InputError("QUEUE_BATCH", { expected: "--queue or --batch", got: "both", where: "--batch", fix });
  }
  if (isPoolFile(teacher)) {
    const fix = "name one endpoint's address, or leave --batch out";
    throw new InputError("BATCH_POOL", { expected: "one endpoint for batches", got: "several", where: teacher, fix });
  }
  const key = keyFrom(keyEnv);
  return openBatchApi({ baseUrl: teacher, ...(key === undefined ? {} : { key }) });
}

/** The kinds, their weights, and how many requests there may be. */
async function chooseKinds({ kinds: text, rows, candidates, teacher }: EndpointFlags): Promise<{
  readonly kinds: readonly TeacherKind[];
  readonly weights: ReadonlyMap<string, number>;
  readonly candidates?: number;
}> {
  const kinds: TeacherKind[] = [];
  const weights = new Map<string, number>();
  for (const part of text?.split(",") ?? (localPath(teacher) === undefined ? usualKinds : smallKinds)) {
    const [, name = "", weight] = /^\s*(.*?)\s*(?:=\s*(\d+(?:\.\d+)?)\s*)?$/.exec(part) ?? [];
    const kind = await readAnyKind(name);
    if (weights.has(kind.name)) {
      const [expected, got] = ["each kind once", `"${kind.name}" twice`];
      throw new InputError("TEACHER_KIND", { expected, got, where: "--kinds", fix: "leave one out, or rename yours" });
    }
    kinds.push(kind);
    weights.set(kind.name, weight === undefined ? 1 : Number(weight));
  }
  const most = candidates ?? (rows === undefined ? undefined : Math.ceil(rows * spareRequests));
  return { kinds, weights, ...(most === undefined ? {} : { candidates: most }) };
}

/** A built-in kind by name; a folder with prompt.md is a kind of the user's own. */
async function readAnyKind(name: string): Promise<TeacherKind> {
  const isFolder = (await stat(name).catch(() => undefined))?.isDirectory() === true;
  return isFolder ? readKind(name) : ((await readBuiltInKinds([name]))[0] as TeacherKind);
}

/** A judge and a blind test, as far as they are asked for. */
async function openOpinions(
  teacher: Endpoint,
  teacherModel: string,
  flags: EndpointFlags,
): Promise<NonNullable<TeacherOptions["opinions"]>> {
  const { judge, judgeAt = flags.teacher, judgePrice, blindTest, keyEnv, concurrency } = flags;
  if (judge !== undefined && (isPoolFile(judgeAt) || localPath(judgeAt) !== undefined)) {
    const [expected, got] = ["the judge's address", judgeAt];
    throw new InputError("JUDGE_ADDRESS", { expected, got, where: judgeAt, fix: "add --judge-at URL" });
  }
  const key = keyFrom(keyEnv);
  const open = (model: string): Endpoint =>
    openEndpoint({
      baseUrl: judgeAt,
      concurrency,
      price: priceOf(judgeAt, model, judgePrice),
      // the key was given for the teacher's address, and goes to no other
      ...(key === undefined || judgeAt !== flags.teacher ? {} : { key }),
    });
  const endpoint = judge === undefined ? teacher : open(judge);
  return [
    ...(judge === undefined ? [] : [{ opinion: await openJudge(judge), endpoint }]),
    ...(blindTest === true ? [{ opinion: openBlindTest(judge ?? teacherModel), endpoint }] : []),
  ];
}
