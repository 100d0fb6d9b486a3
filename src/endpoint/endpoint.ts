// A client for any OpenAI-compatible chat endpoint: one retry policy, bounded in every direction.
import { InputError } from "../errors.ts";
import { attempt } from "./attempt.ts";
import { failed, type Failure } from "./failure.ts";
import { openSlots, sleep } from "./slots.ts";
import { encodeRequest, type ChatReply, type ChatRequest, type LimitField } from "./wire.ts";

export interface EndpointOptions {
  /** e.g. "http://localhost:11434/v1"; requests, and the key, go to this host and no other */
  readonly baseUrl: string;
  /** the key itself; never part of a message, a log or an error */
  readonly key?: string;
  /** requests at once; 8 unless told */
  readonly concurrency?: number;
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
}

export interface ChatOptions {
  readonly signal?: AbortSignal;
  /** called for each failed attempt that will be repeated */
  readonly onRetry?: (failure: Failure, waitMs: number) => void;
}

export interface Endpoint {
  /** where requests go, without the key */
  readonly url: string;
  readonly concurrency: number;
  /**
   * One answer. Attempts that failed for a passing reason (408, 409, 429, 5xx, network, timeout) are repeated after
   * the wait that the server asked for, or a growing one with jitter.
   *
   * @throws EndpointError `ENDPOINT_DOWN`, `ENDPOINT_TIMEOUT`, `ENDPOINT_AUTH` (401, 403), `ENDPOINT_RATE`,
   *   `ENDPOINT_QUOTA`, `ENDPOINT_SERVER`, `ENDPOINT_NONSENSE`, `ENDPOINT_TOO_LARGE`, `ENDPOINT_REDIRECT`,
   *   `ENDPOINT_REFUSED` (any other 4xx); the signal's reason when aborted
   */
  chat(request: ChatRequest, options?: ChatOptions): Promise<ChatReply>;
}

/**
 * Prepares a client; nothing is sent yet.
 *
 * @throws InputError `ENDPOINT_ADDRESS`, `ENDPOINT_KEY`, `ENDPOINT_OPTION`
 */
export function openEndpoint(options: EndpointOptions): Endpoint {
  const { key, concurrency = 8, attempts = 5, timeoutMs = 120_000, backoffMs = 500 } = options;
  const { longestWaitMs = 600_000, maxResponseBytes = 2 ** 22 } = options;
  const url = chatUrl(options.baseUrl);
  if (key !== undefined && !/^[\x21-\x7e]{1,1000}$/.test(key)) {
    const fix = "copy the key again";
    throw new InputError("ENDPOINT_KEY", { expected: "a key of printable characters", got: "others (not shown)", fix });
  }
  for (const [name, value] of Object.entries({ concurrency, attempts, timeoutMs, maxResponseBytes })) {
    if (Number.isInteger(value) && value >= 1) continue;
    throw new InputError("ENDPOINT_OPTION", { expected: "a whole number from 1", got: String(value), where: name });
  }
  const slots = openSlots(concurrency);
  let limitField: LimitField = "max_tokens";
  const send = async (request: ChatRequest, signal: AbortSignal | undefined): Promise<ChatReply | Failure> => {
    const once = (): Promise<ChatReply | Failure> => {
      const body = encodeRequest(request, limitField);
      return slots.run(async () => {
        const outcome = await attempt({ url, key, body, timeoutMs, maxResponseBytes, signal });
        // a rate limit holds for all requests, not only for the one that met it
        const rate = isFailure(outcome) && outcome.code === "ENDPOINT_RATE" && outcome.retry;
        const waitMs = rate ? (outcome.waitMs ?? backoffMs) : 0;
        if (waitMs <= longestWaitMs) slots.pause(waitMs);
        return outcome;
      }, signal);
    };
    const field = limitField;
    const outcome = await once();
    // newer OpenAI models refuse the old name and say so
    const renamed = isFailure(outcome) && outcome.status === 400 && /max_completion_tokens/.test(outcome.got);
    if (!renamed || field === "max_completion_tokens") return outcome;
    limitField = "max_completion_tokens";
    return once();
  };
  const policy = { attempts, backoffMs, longestWaitMs, url };
  return {
    url,
    concurrency,
    chat: (request, chatOptions = {}) => persist((signal) => send(request, signal), policy, chatOptions),
  };
}

interface Policy {
  readonly attempts: number;
  readonly backoffMs: number;
  readonly longestWaitMs: number;
  readonly url: string;
}

/** The one retry policy: sends until it succeeds, must not be repeated, or was tried often enough. */
async function persist(
  send: (signal: AbortSignal | undefined) => Promise<ChatReply | Failure>,
  { attempts, backoffMs, longestWaitMs, url }: Policy,
  { signal, onRetry }: ChatOptions,
): Promise<ChatReply> {
  for (let tried = 1; ; tried++) {
    const outcome = await send(signal);
    if (!isFailure(outcome)) return outcome;
    const grown = Math.min(30_000, backoffMs * 2 ** (tried - 1)) * (0.5 + Math.random() / 2);
    const waitMs = Math.ceil(outcome.waitMs ?? grown);
    if (!outcome.retry || tried >= attempts) throw failed(outcome, url, tried);
    if (waitMs > longestWaitMs) {
      const got = `${outcome.got}; it asks to wait ${Math.round(waitMs / 1000)} s`;
      throw failed({ ...outcome, got }, url, tried);
    }
    onRetry?.(outcome, waitMs);
    await sleep(waitMs, signal);
  }
}

function isFailure(outcome: ChatReply | Failure): outcome is Failure {
  return "code" in outcome;
}

/** The address of the chat resource below a base address. */
function chatUrl(base: string): string {
  const refused = (got: string): InputError => {
    const fix = "give its base address without a key or password, most often ending on /v1";
    return new InputError("ENDPOINT_ADDRESS", { expected: "an http or https address", got, where: "endpoint", fix });
  };
  if (!URL.canParse(base)) throw refused(base.includes("@") ? "something else" : `"${base.slice(0, 100)}"`);
  const url = new URL(base);
  if (url.username !== "" || url.password !== "") throw refused("an address with a password in it");
  if (url.protocol !== "http:" && url.protocol !== "https:") throw refused(url.protocol);
  if (url.search !== "" || url.hash !== "") throw refused("an address with a query");
  const path = url.pathname.replace(/\/+$/, "").replace(/\/chat\/completions$/, "");
  return `${url.origin}${path}/chat/completions`;
}
