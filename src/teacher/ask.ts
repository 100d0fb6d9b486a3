// Asks an endpoint for everything that a journal lacks, so many requests at once, and stops when it is unusable.
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { ChatReply } from "../endpoint/wire.ts";
import { EndpointError, type EndpointCode } from "../endpoint/failure.ts";
import type { Journal, JournalAnswer } from "./journal.ts";
import { questionFor, type Skipped, type TeacherRequest } from "./messages.ts";
import type { Progress } from "./progress.ts";
import { judge } from "./verdict.ts";

/** Errors that every further request would meet too; the others concern one request. */
const unusable: ReadonlySet<EndpointCode> = new Set([
  "ENDPOINT_DOWN",
  "ENDPOINT_AUTH",
  "ENDPOINT_RATE",
  "ENDPOINT_QUOTA",
  "ENDPOINT_REDIRECT",
]);

/** So many failed requests in a row, with no answer between them, and the endpoint counts as unusable. */
const mostFailures = 10;
/** Requests under way when the user interrupts are paid for: they get this long to finish. */
const graceMs = 5000;

interface AskOptions {
  readonly endpoint: Endpoint;
  readonly seed?: number;
  readonly signal?: AbortSignal;
}

/** Returns when every request has been tried; throws the error that made the endpoint unusable. */
export async function askAll(
  requests: AsyncGenerator<TeacherRequest | Skipped>,
  journal: Journal,
  progress: Progress,
  options: AskOptions,
): Promise<void> {
  const stop = stopOf(options.signal);
  const state: State = { failures: 0, answered: false, asked: new Set() };
  const next = async (): Promise<boolean> => {
    const { value: request, done } = await requests.next();
    if (done === true) return false;
    if ("skipped" in request) progress.dropped(request.skipped);
    else if (journal.has(request.key) || state.asked.has(request.key)) progress.resumed();
    else {
      state.asked.add(request.key);
      await askOne(request, state, journal, progress, options, stop.signal);
    }
    return true;
  };
  const worker = async (): Promise<void> => {
    try {
      while (state.fatal === undefined && options.signal?.aborted !== true && (await next()));
    } catch (error) {
      // an interrupted request stays in doubt; anything else ends the run
      if (!stop.signal.aborted) state.fatal ??= error;
    }
  };
  try {
    await Promise.all(Array.from({ length: options.endpoint.concurrency }, worker));
  } finally {
    stop.end();
  }
  // nothing but failures, however few: the first tells the user why
  const error = state.fatal ?? (state.answered ? undefined : state.lastError);
  if (error !== undefined) throw error;
}

interface State {
  /** in a row, since the last answer */
  failures: number;
  answered: boolean;
  readonly asked: Set<string>;
  lastError?: EndpointError;
  fatal?: unknown;
}

async function askOne(
  request: TeacherRequest,
  state: State,
  journal: Journal,
  progress: Progress,
  { endpoint, seed = 0 }: AskOptions,
  signal: AbortSignal,
): Promise<void> {
  const { id, key } = request;
  const now = (): string => new Date().toISOString();
  try {
    await journal.append({ t: "intent", id, key, at: now() });
    const reply = await endpoint.chat(request.chat, { signal, onRetry: () => progress.retried() });
    const answer = answerOf(reply, id, key, now());
    await journal.append({ t: "answer", ...answer });
    state.failures = 0;
    state.answered = true;
    progress.used(answer.promptTokens ?? 0, answer.completionTokens ?? 0);
    const verdict = judge(answer, request.kind, questionFor(request, seed));
    if ("reason" in verdict) progress.dropped(verdict.reason);
    else progress.accepted();
  } catch (error) {
    if (!(error instanceof EndpointError)) throw error;
    await journal.append({ t: "failed", id, key, at: now(), code: error.code });
    state.lastError ??= error;
    state.failures++;
    progress.failed(error.code);
    if (unusable.has(error.code) || state.failures >= mostFailures) state.fatal ??= error;
  }
}

function answerOf(reply: ChatReply, id: string, key: string, at: string): JournalAnswer {
  const { text, finishReason: finish, refusal, usage, model } = reply;
  return {
    id,
    key,
    at,
    text,
    finish,
    ...(refusal === undefined ? {} : { refusal }),
    ...(model === undefined ? {} : { model }),
    ...(usage === undefined ? {} : usage),
  };
}

/** A signal that fires some time after the user's, so that what is under way may finish. */
function stopOf(signal: AbortSignal | undefined): { signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const start = (): void => void (timer = setTimeout(() => controller.abort(signal?.reason), graceMs));
  signal?.addEventListener("abort", start, { once: true });
  return {
    signal: controller.signal,
    end() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", start);
    },
  };
}
