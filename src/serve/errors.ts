// What a request can be refused with: a status, OpenAI's error shape, and never a word about the inside.
import { InputError, LlavaError, type ErrorDetails } from "../errors.ts";

/** A request that is refused; `where` is the field it is about, e.g. `messages[0].content[1]`. */
export class RequestError extends LlavaError {
  override readonly exitCode = 1;
  readonly status: number;
  /** seconds after which it may be tried again */
  readonly retryAfter: number | undefined;

  constructor(status: number, code: string, details: ErrorDetails & { readonly retryAfter?: number }) {
    super(code, details);
    this.status = status;
    this.retryAfter = details.retryAfter;
  }
}

/** What goes out for a failure. */
export interface WireError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: { readonly error: WireProblem };
}

interface WireProblem {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string;
}

/** Errors of the parts below that are the request's fault: what they say is about the request alone. */
const publicCodes =
  /^(PICTURE_(EMPTY|FORMAT|SIZE|TRUNCATED|CORRUPT|SLOW)|PROMPT_TOO_LONG|MODEL_TEXT_ONLY|CONVERSATION_ROLES|SAMPLING_OPTION|JSON_SCHEMA|GRAMMAR_SIZE|TEMPLATE_(REFUSED|TURNS|CONTENT|LIMIT))$/;

/** names that OpenAI's clients know */
const knownNames: Readonly<Record<string, string>> = { PROMPT_TOO_LONG: "context_length_exceeded" };

/** Any failure in OpenAI's shape; what is not the request's fault says only that it happened. */
export function wireError(error: unknown): WireError {
  if (error instanceof RequestError)
    return describe(error.status, error, error.details.where ?? null, error.retryAfter);
  if (error instanceof InputError && publicCodes.test(error.code)) {
    // pictures are named by the field they came in, others by paths of ours
    const param = /^(PICTURE|JSON)_/.test(error.code) ? (error.details.where ?? null) : null;
    return describe(400, error, param);
  }
  return problem(500, { message: "the server failed at this request", param: null, code: "server_error" });
}

/** True for failures that are neither the request's fault nor a refusal: they are logged in full. */
export function isInternal(error: unknown): boolean {
  return wireError(error).status === 500;
}

function describe(status: number, { code, details }: LlavaError, param: string | null, retryAfter?: number): WireError {
  const { expected, got, fix } = details;
  const message = `expected ${expected}, got ${got}${param === null ? "" : ` (${param})`}${fix === undefined ? "" : `; ${fix}`}`;
  return problem(status, { message, param, code: knownNames[code] ?? code.toLowerCase() }, retryAfter);
}

function problem(status: number, body: Omit<WireProblem, "type">, retryAfter?: number): WireError {
  // clients ask again after a 5xx and some 4xx unless they are told not to
  const retry: Record<string, string> =
    retryAfter === undefined
      ? { "x-should-retry": status === 500 ? "true" : "false" }
      : { "retry-after": String(Math.ceil(retryAfter)), "retry-after-ms": String(Math.ceil(retryAfter * 1000)) };
  return { status, headers: retry, body: { error: { ...body, type: typeOf(status) } } };
}

function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}
