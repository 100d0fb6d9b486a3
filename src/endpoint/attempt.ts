// One attempt: a request sent once, its answer read within limits, its failure classified.
import type { Failure } from "./failure.ts";
import { readRateSignals, type RateSignals } from "./rate-limits.ts";
import type { Broken, HttpReply, ReplyHeaders, Transport } from "./transport.ts";
import { decodeProblem, decodeReply, type ChatReply } from "./wire.ts";

export interface AttemptOptions {
  readonly transport: Transport;
  readonly url: string;
  readonly key: string | undefined;
  readonly nonce: string | undefined;
  readonly body: string;
  readonly timeoutMs: number;
  readonly maxResponseBytes: number;
  readonly signal: AbortSignal | undefined;
}

/** What came of an attempt. */
export interface Attempt {
  readonly outcome: ChatReply | Failure;
  /** without a usable reply: whether it may have been charged all the same */
  readonly doubt: boolean;
  /** what came, as text; base64 behind "base64:" where it is no text */
  readonly body: string;
  /** milliseconds from sending to the last byte */
  readonly ms: number;
  readonly rate: RateSignals;
}

/** Sends once; an abort is a failure like others. */
export async function attempt(options: AttemptOptions): Promise<Attempt> {
  const { transport, url, key, nonce, body, timeoutMs, maxResponseBytes: maxBytes, signal } = options;
  const started = performance.now();
  const reply = await transport.exchange({
    url,
    method: "POST",
    headers: {
      ...headersFor(key),
      "content-type": "application/json",
      ...(nonce === undefined ? {} : { "idempotency-key": nonce }),
    },
    body,
    timeoutMs,
    maxBytes,
    signal,
  });
  const ms = Math.round(performance.now() - started);
  if ("broken" in reply) {
    return { outcome: describeBroken(reply, options), doubt: reply.arrived, body: "", ms, rate: noSignals };
  }
  const outcome = readReply(reply, key);
  // with a good status the endpoint did its work, whatever came through; a gateway's timeout says nothing of it
  const doubt = isFailure(outcome) && (outcome.code === "ENDPOINT_NONSENSE" || undecided.has(reply.status));
  return { outcome, doubt, body: textOf(reply.bytes, key), ms, rate: readRateSignals(reply.headers) };
}

const noSignals: RateSignals = { requests: {}, tokens: {} };
/** A gateway gave up on a server that may have gone on (504; 524 is Cloudflare's). */
const undecided: ReadonlySet<number> = new Set([504, 524]);

export function isFailure(outcome: ChatReply | Failure): outcome is Failure {
  return "code" in outcome;
}

/** What every request to an endpoint carries. */
export function headersFor(key: string | undefined): Record<string, string> {
  return { accept: "application/json", ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) };
}

/** The chat reply in a response, or why there is none. */
function readReply({ status, headers, bytes }: HttpReply, key: string | undefined): ChatReply | Failure {
  const json = parse(bytes);
  if (status >= 300 && status < 400) {
    // following it would carry the key to a host that the user did not name
    const to = clean(headers.get("location") ?? "nowhere", key);
    return { code: "ENDPOINT_REDIRECT", got: `a redirect to ${to}`, status, retry: false };
  }
  const problem = json === undefined ? undefined : decodeProblem(json);
  if (status >= 400 || problem !== undefined) {
    const said = clean(problem?.message || (json === undefined ? beginning(bytes) : ""), key);
    return classify(status, problem?.code ?? "", said, headers);
  }
  if (json === undefined) {
    const type = clean(headers.get("content-type") ?? "no type", key);
    const got =
      bytes.length === 0 ? "an empty body" : `a body that is no JSON (${type}): "${clean(beginning(bytes), key)}"`;
    return { code: "ENDPOINT_NONSENSE", got, status, retry: false };
  }
  const reply = decodeReply(json);
  return typeof reply === "string" ? { code: "ENDPOINT_NONSENSE", got: reply, status, retry: false } : reply;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown;
  } catch {
    return undefined;
  }
}

/** A body as it is kept: never with the key, should the server repeat it. */
function textOf(bytes: Buffer, key: string | undefined): string {
  const text = bytes.toString("utf8");
  if (key !== undefined && text.includes(key)) return text.replaceAll(key, "[key]");
  return text.includes("\uFFFD") && !Buffer.from(text).equals(bytes) ? `base64:${bytes.toString("base64")}` : text;
}

/** Why an answer with an error status, or an error inside, failed, and whether to try again. */
export function classify(status: number, code: string, said: string, headers: ReplyHeaders): Failure {
  // some gateways answer 200 and put the real status into the error
  const real = status >= 400 ? status : Number(/\b[45]\d\d\b/.exec(code)?.[0] ?? 500);
  const got = `status ${real}${said === "" ? "" : `: "${said}"`}`;
  if (real === 401 || real === 403) return { code: "ENDPOINT_AUTH", got, status: real, retry: false };
  // OpenAI answers 429 for an empty account too, where waiting does not help
  if (real === 402 || /insufficient_quota|billing_hard_limit|insufficient_credit/.test(code)) {
    return { code: "ENDPOINT_QUOTA", got, status: real, retry: false };
  }
  const { waitMs } = readRateSignals(headers);
  const wait = waitMs === undefined ? {} : { waitMs };
  const told = headers.get("x-should-retry");
  if (real === 429) return { code: "ENDPOINT_RATE", got, status: real, retry: told !== "false", ...wait };
  const transient = real === 408 || real === 409 || real >= 500;
  const retry = told === "true" || (transient && told !== "false");
  return { code: transient ? "ENDPOINT_SERVER" : "ENDPOINT_REFUSED", got, status: real, retry, ...wait };
}

function describeBroken({ broken, arrived, status, cause }: Broken, options: AttemptOptions): Failure {
  const head = status === undefined ? {} : { status };
  if (broken === "aborted") return { code: "ENDPOINT_STOPPED", got: "an interruption", retry: false, cause };
  if (broken === "too large") {
    const got = `an answer of more than ${options.maxResponseBytes} bytes`;
    return { code: "ENDPOINT_TOO_LARGE", got, retry: false, ...head };
  }
  if (broken === "timeout") {
    const got = `no whole answer within ${options.timeoutMs / 1000} s`;
    return { code: "ENDPOINT_TIMEOUT", got, retry: true, cause, ...head };
  }
  const code = arrived ? "ENDPOINT_BROKEN" : "ENDPOINT_DOWN";
  return { code, got: describeNetwork(cause), retry: true, cause, ...head };
}

const networkWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: "a refused connection",
  ECONNRESET: "a connection that broke",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "no answer of the name server",
  EHOSTUNREACH: "no way to the host",
  ENETUNREACH: "no network",
  ETIMEDOUT: "no answer of the host",
  EPIPE: "a connection that broke",
};

function describeNetwork(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  if (typeof code !== "string") return "a connection that broke";
  return `${networkWords[code] ?? (code.startsWith("HPE_") ? "a reply that is no HTTP" : "a connection that broke")} (${code})`;
}

/** A server's words made safe to print: one line, no control characters, cut, and the key taken out. */
export function clean(words: string, key: string | undefined): string {
  const hidden = key === undefined ? words : words.replaceAll(key, "[key]");
  // eslint-disable-next-line no-control-regex
  const line = hidden.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\s]+/g, " ").trim();
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

function beginning(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(0, 1000));
}
