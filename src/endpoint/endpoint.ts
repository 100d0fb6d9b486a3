// A client for any OpenAI-compatible chat endpoint: one retry policy, bounded in every direction.
import { InputError } from "../errors.ts";
import { openAdmission, type Admission } from "./admission.ts";
import { attempt, isFailure, type Attempt } from "./attempt.ts";
import { failed, type Failure } from "./failure.ts";
import { free, mostTokens, type Price } from "./price.ts";
import { openTransport } from "./transport.ts";
import { encodeRequest, type ChatReply, type ChatRequest, type LimitField, type Usage } from "./wire.ts";

export interface EndpointOptions {
  /** e.g. "http://localhost:11434/v1"; requests, and the key, go to this host and no other */
  readonly baseUrl: string;
  /** the key itself; never part of a message, a log or an error */
  readonly key?: string;
  /** most requests at once; fewer after a 429. 8 unless told */
  readonly concurrency?: number;
  /** caps of requests and tokens in any minute; a request counts with its most tokens until they are known */
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
  /** attempts for one request, the first included; 5 unless told */
  readonly attempts?: number;
  /** for one attempt, from sending to the last byte; 120,000 unless told */
  readonly timeoutMs?: number;
  /** the first wait between attempts, doubled each time up to 30 s; 500 unless told */
  readonly backoffMs?: number;
  /** the longest wait that a server may ask for; 600,000 unless told */
  readonly longestWaitMs?: number;
  /** 4 MiB unless told */
  readonly maxResponseBytes?: number;
  /** what tokens cost there; nothing unless told */
  readonly price?: Price;
  /** the model's name there, where it differs from the request's */
  readonly model?: string;
}

/** Keeps account of attempts; see ledgered.ts. */
export interface AttemptLog {
  /** called before an attempt waits for its turn; may throw to prevent it */
  open(to: Recipient, most: Usage): Promise<OpenAttempt>;
}

export interface Recipient {
  readonly url: string;
  readonly model: string;
  readonly price: Price;
}

export interface OpenAttempt {
  /** sent along as `Idempotency-Key` */
  readonly nonce: string;
  /** called with what came of it before anything is made of that; undefined when nothing was sent */
  close(attempt: Attempt | undefined): Promise<void>;
  /** whether an attempt that may have been charged without an answer is repeated */
  readonly repeatDoubt: boolean;
}

export interface ChatOptions {
  readonly signal?: AbortSignal;
  /** called for each failed attempt that will be repeated */
  readonly onRetry?: (failure: Failure, waitMs: number) => void;
  readonly log?: AttemptLog;
}

export interface Endpoint {
  /** where requests go, without the key */
  readonly url: string;
  readonly concurrency: number;
  /** requests that may be under way at once just now */
  readonly limit: number;
  /** requests under way and waiting */
  readonly load: number;
  readonly price: Price;
  /**
   * One answer. Attempts that failed for a passing reason (408, 409, 429, 5xx, network, timeout) are repeated after
   * the wait that the server asked for, or a growing one with jitter.
   *
   * @throws EndpointError `ENDPOINT_DOWN`, `ENDPOINT_BROKEN`, `ENDPOINT_TIMEOUT`, `ENDPOINT_AUTH` (401, 403),
   *   `ENDPOINT_RATE`, `ENDPOINT_QUOTA`, `ENDPOINT_SERVER`, `ENDPOINT_NONSENSE`, `ENDPOINT_TOO_LARGE`,
   *   `ENDPOINT_REDIRECT`, `ENDPOINT_REFUSED` (any other 4xx); the signal's reason when aborted
   */
  chat(request: ChatRequest, options?: ChatOptions): Promise<ChatReply>;
}

/**
 * Prepares a client; nothing is sent yet.
 *
 * @throws InputError `ENDPOINT_ADDRESS`, `ENDPOINT_KEY`, `ENDPOINT_OPTION`
 */
export function openEndpoint(options: EndpointOptions): Endpoint {
  const { key, concurrency = 8, attempts = 5, timeoutMs = 120_000, backoffMs = 500, price = free } = options;
  const { longestWaitMs = 600_000, maxResponseBytes = 2 ** 22, requestsPerMinute, tokensPerMinute } = options;
  const url = `${baseOf(options.baseUrl)}/chat/completions`;
  if (key !== undefined) checkKey(key);
  const counts = { concurrency, attempts, timeoutMs, maxResponseBytes, requestsPerMinute, tokensPerMinute };
  for (const [name, value] of Object.entries(counts)) {
    if (value === undefined || (Number.isInteger(value) && value >= 1)) continue;
    throw new InputError("ENDPOINT_OPTION", { expected: "a whole number from 1", got: String(value), where: name });
  }
  const limits = { concurrency, requestsPerMinute, tokensPerMinute, longestWaitMs, pauseMs: backoffMs };
  const admission = openAdmission(limits);
  const transport = openTransport();
  let limitField: LimitField = "max_tokens";
  const send: Send = async (asked, { signal, log }) => {
    const request = options.model === undefined ? asked : { ...asked, model: options.model };
    const field = limitField;
    const most = mostTokens(request);
    const open = await log?.open({ url, model: request.model, price }, most);
    const body = encodeRequest(request, field);
    const once = (): Promise<Attempt> =>
      attempt({ transport, url, key, nonce: open?.nonce, body, timeoutMs, maxResponseBytes, signal });
    const done = await admitted(admission, once, most, signal).catch(async (error: unknown) => {
      await open?.close(undefined);
      throw error;
    });
    await open?.close(done);
    const { outcome, doubt } = done;
    if (!isFailure(outcome)) return outcome;
    // newer OpenAI models refuse the old name of the limit and say so
    const renamed = outcome.status === 400 && /max_completion_tokens/.test(outcome.got) && field === "max_tokens";
    if (renamed) limitField = "max_completion_tokens";
    return { ...outcome, retry: renamed || (outcome.retry && (!doubt || (open?.repeatDoubt ?? true))), renamed };
  };
  const policy = { attempts, backoffMs, longestWaitMs, url };
  return {
    url,
    concurrency,
    price,
    get limit() {
      return admission.limit;
    },
    get load() {
      return admission.load;
    },
    chat: (request, chatOptions = {}) => persist((more) => send(request, more), policy, chatOptions),
  };
}

type Send = (request: ChatRequest, options: ChatOptions) => Promise<ChatReply | (Failure & { renamed?: boolean })>;

/** One attempt once it may start; frees its slot with the last byte. */
async function admitted(
  admission: Admission,
  once: () => Promise<Attempt>,
  { promptTokens, completionTokens }: Usage,
  signal: AbortSignal | undefined,
): Promise<Attempt> {
  const permit = await admission.acquire(promptTokens + completionTokens, signal);
  const done = await once();
  const { outcome } = done;
  const counted = isFailure(outcome) ? undefined : outcome.usage;
  admission.report(permit, done.rate, isFailure(outcome) && outcome.code === "ENDPOINT_RATE" && outcome.retry);
  permit.release(counted === undefined ? undefined : counted.promptTokens + counted.completionTokens);
  return done;
}

interface Policy {
  readonly attempts: number;
  readonly backoffMs: number;
  readonly longestWaitMs: number;
  readonly url: string;
}

/** The one retry policy: sends until it succeeds, must not be repeated, or was tried often enough. */
async function persist(
  send: (options: ChatOptions) => ReturnType<Send>,
  { attempts, backoffMs, longestWaitMs, url }: Policy,
  options: ChatOptions,
): Promise<ChatReply> {
  for (let tried = 1; ; tried++) {
    const outcome = await send(options);
    if (!isFailure(outcome)) return outcome;
    options.signal?.throwIfAborted();
    if (outcome.renamed === true) continue;
    const grown = Math.min(30_000, backoffMs * 2 ** (tried - 1)) * (0.5 + Math.random() / 2);
    const waitMs = Math.ceil(outcome.waitMs ?? grown);
    if (!outcome.retry || tried >= attempts) throw failed(outcome, url, tried);
    if (waitMs > longestWaitMs) {
      const got = `${outcome.got}; it asks to wait ${Math.round(waitMs / 1000)} s`;
      throw failed({ ...outcome, got }, url, tried);
    }
    options.onRetry?.(outcome, waitMs);
    await sleep(waitMs, options.signal);
  }
}

/** Waits; an abort ends it by throwing the abort's reason. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Throws `ENDPOINT_KEY` for what cannot be a key, without showing it. */
function checkKey(key: string): void {
  if (/^[\x21-\x7e]{1,1000}$/.test(key)) return;
  const fix = "copy the key again";
  throw new InputError("ENDPOINT_KEY", { expected: "a key of printable characters", got: "others (not shown)", fix });
}

/** A base address without a closing slash, e.g. "http://localhost:11434/v1". Throws `ENDPOINT_ADDRESS`. */
export function baseOf(base: string): string {
  const refused = (got: string): InputError => {
    const fix = "give its base address without a key or password, most often ending on /v1";
    return new InputError("ENDPOINT_ADDRESS", { expected: "an http or https address", got, where: "endpoint", fix });
  };
  if (!URL.canParse(base)) throw refused(base.includes("@") ? "something else" : `"${base.slice(0, 100)}"`);
  const url = new URL(base);
  if (url.username !== "" || url.password !== "") throw refused("an address with a password in it");
  if (url.protocol !== "http:" && url.protocol !== "https:") throw refused(url.protocol);
  if (url.search !== "" || url.hash !== "") throw refused("an address with a query");
  return `${url.origin}${url.pathname.replace(/\/+$/, "").replace(/\/chat\/completions$/, "")}`;
}
