// One attempt: a request sent once, its answer read within limits, its failure classified.
import type { Failure } from "./failure.ts";
import { decodeProblem, decodeReply, type ChatReply } from "./wire.ts";

export interface AttemptOptions {
  readonly url: string;
  readonly key: string | undefined;
  readonly body: string;
  readonly timeoutMs: number;
  readonly maxResponseBytes: number;
  readonly signal: AbortSignal | undefined;
}

/** The reply, or why there is none. Only the caller's own abort is thrown. */
export async function attempt(options: AttemptOptions): Promise<ChatReply | Failure> {
  const { url, key, body, timeoutMs, signal } = options;
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/json",
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      },
      body,
      // a redirect would carry the key to a host that the user did not name
      redirect: "manual",
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    });
    return await readResponse(response, options);
  } catch (cause) {
    signal?.throwIfAborted();
    if (timeout.aborted || isTimeout(cause)) {
      return { code: "ENDPOINT_TIMEOUT", got: `no whole answer within ${timeoutMs / 1000} s`, retry: true, cause };
    }
    return { code: "ENDPOINT_DOWN", got: describeNetwork(cause), retry: true, cause };
  }
}

async function readResponse(response: Response, options: AttemptOptions): Promise<ChatReply | Failure> {
  const { status } = response;
  const bytes = await readBytes(response, options.maxResponseBytes);
  if (bytes === undefined) {
    const got = `an answer of more than ${options.maxResponseBytes} bytes`;
    return { code: "ENDPOINT_TOO_LARGE", got, status, retry: false };
  }
  const json = parse(bytes);
  if (status >= 300 && status < 400) {
    const to = clean(response.headers.get("location") ?? "nowhere", options.key);
    return { code: "ENDPOINT_REDIRECT", got: `a redirect to ${to}`, status, retry: false };
  }
  const problem = json === undefined ? undefined : decodeProblem(json);
  if (status >= 400 || problem !== undefined) {
    const said = clean(problem?.message || (json === undefined ? text(bytes) : ""), options.key);
    return classify(status, problem?.code ?? "", said, response.headers);
  }
  if (json === undefined) {
    const type = clean(response.headers.get("content-type") ?? "no type", options.key);
    const got =
      bytes.length === 0 ? "an empty body" : `a body that is no JSON (${type}): "${clean(text(bytes), options.key)}"`;
    return { code: "ENDPOINT_NONSENSE", got, status, retry: false };
  }
  const reply = decodeReply(json);
  return typeof reply === "string" ? { code: "ENDPOINT_NONSENSE", got: reply, status, retry: false } : reply;
}

/** The whole body, or undefined once it exceeds the limit; a body that breaks off throws. */
async function readBytes(response: Response, most: number): Promise<Uint8Array | undefined> {
  if (Number(response.headers.get("content-length") ?? 0) > most) {
    await response.body?.cancel();
    return undefined;
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    // leaving the loop cancels the stream
    if (size > most) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown;
  } catch {
    return undefined;
  }
}

function classify(status: number, code: string, said: string, headers: Headers): Failure {
  // some gateways answer 200 and put the real status into the error
  const real = status >= 400 ? status : Number(/\b[45]\d\d\b/.exec(code)?.[0] ?? 500);
  const got = `status ${real}${said === "" ? "" : `: "${said}"`}`;
  if (real === 401 || real === 403) return { code: "ENDPOINT_AUTH", got, status: real, retry: false };
  // OpenAI answers 429 for an empty account too, where waiting does not help
  if (real === 402 || /insufficient_quota|billing_hard_limit|insufficient_credit/.test(code)) {
    return { code: "ENDPOINT_QUOTA", got, status: real, retry: false };
  }
  const waitMs = retryAfter(headers);
  const wait = waitMs === undefined ? {} : { waitMs };
  const told = headers.get("x-should-retry");
  if (real === 429) return { code: "ENDPOINT_RATE", got, status: real, retry: told !== "false", ...wait };
  const transient = real === 408 || real === 409 || real >= 500;
  const retry = told === "true" || (transient && told !== "false");
  return { code: transient ? "ENDPOINT_SERVER" : "ENDPOINT_REFUSED", got, status: real, retry, ...wait };
}

/** Milliseconds to wait from `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110, §10.2.3). */
export function retryAfter(headers: Headers, now: number = Date.now()): number | undefined {
  const milliseconds = Number.parseFloat(headers.get("retry-after-ms") ?? "");
  if (milliseconds >= 0) return milliseconds;
  const value = headers.get("retry-after")?.trim();
  if (value === undefined || value === "") return undefined;
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

function isTimeout(cause: unknown): boolean {
  return /TIMEOUT/.test(networkCode(cause));
}

function networkCode(error: unknown): string {
  const { cause } = error as { cause?: { code?: unknown } };
  return typeof cause?.code === "string" ? cause.code : "";
}

const networkWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: "a refused connection",
  ECONNRESET: "a connection that broke",
  UND_ERR_SOCKET: "a connection that broke",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "no answer of the name server",
  EHOSTUNREACH: "no way to the host",
  ENETUNREACH: "no network",
  EPIPE: "a connection that broke",
};

function describeNetwork(error: unknown): string {
  const code = networkCode(error);
  return `${networkWords[code] ?? "a broken connection"}${code === "" ? "" : ` (${code})`}`;
}

/** A server's words made safe to print: one line, no control characters, cut, and the key taken out. */
function clean(words: string, key: string | undefined): string {
  const hidden = key === undefined ? words : words.replaceAll(key, "[key]");
  // eslint-disable-next-line no-control-regex
  const line = hidden.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\s]+/g, " ").trim();
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(0, 1000));
}
