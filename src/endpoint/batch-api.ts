// OpenAI's Batch API: a file of requests goes up, and answers come back within a day, at a part of the price.
import { randomBytes } from "node:crypto";
import { z } from "zod";
import { classify, clean, headersFor } from "./attempt.ts";
import { baseOf, sleep, type EndpointOptions } from "./endpoint.ts";
import { failed, type Failure } from "./failure.ts";
import { openTransport, type Exchange, type HttpReply } from "./transport.ts";
import { decodeProblem } from "./wire.ts";

const remoteBatch = z.object({
  id: z.string().min(1).max(200),
  status: z.string().max(100),
  output_file_id: z.string().max(200).nullish(),
  error_file_id: z.string().max(200).nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  request_counts: z.object({ completed: z.number().int().nonnegative() }).nullish(),
  errors: z
    .object({ data: z.array(z.object({ code: z.string().nullish(), message: z.string().nullish() })) })
    .nullish(),
});

/** A batch as the endpoint tells it. */
export type RemoteBatch = z.infer<typeof remoteBatch>;

const page = z.object({ data: z.array(remoteBatch), has_more: z.boolean().nullish() });
const uploaded = z.object({ id: z.string().min(1).max(200) });

export interface BatchApi {
  /** Stores a file of requests, one JSON object a line; returns its name. */
  upload(lines: string, signal?: AbortSignal): Promise<string>;
  /**
   * Makes a batch of it under a name of ours. Where nobody knows whether the request arrived, the endpoint's list tells,
   * so that no batch is made twice.
   */
  create(file: string, name: string, signal?: AbortSignal): Promise<RemoteBatch>;
  get(id: string, signal?: AbortSignal): Promise<RemoteBatch>;
  /** the batch that was made under our name, if there is one */
  find(name: string, signal?: AbortSignal): Promise<RemoteBatch | undefined>;
  /** the lines of a file */
  download(file: string, signal?: AbortSignal): Promise<string[]>;
}

/** Of the metadata that a batch carries, ours. */
const nameKey = "llava_batch";
const largestReply = 2 ** 24;
const largestFile = 2 ** 29;
const attempts = 6;
const pageSize = 100;

type BatchOptions = Pick<EndpointOptions, "baseUrl" | "key" | "timeoutMs" | "backoffMs">;

/** Prepares a client; nothing is sent yet. Its calls throw EndpointError as `Endpoint.chat` does. */
export function openBatchApi({ baseUrl, key, timeoutMs = 300_000, backoffMs = 1000 }: BatchOptions): BatchApi {
  const { call, read } = openCalls({ baseUrl, key, timeoutMs, backoffMs });
  const find: BatchApi["find"] = async (name, signal) => {
    for (let after = ""; ;) {
      const path = `/batches?limit=${pageSize}${after}`;
      const { data, has_more } = await read(page, path, { method: "GET", signal });
      const found = data.find(({ metadata }) => metadata?.[nameKey] === name);
      const last = data.at(-1);
      if (found !== undefined || has_more !== true || last === undefined) return found;
      after = `&after=${encodeURIComponent(last.id)}`;
    }
  };
  return {
    find,
    get: (id, signal) => read(remoteBatch, `/batches/${encodeURIComponent(id)}`, { method: "GET", signal }),
    async upload(lines, signal) {
      // a file that went up twice costs nothing
      return (await read(uploaded, "/files", { method: "POST", signal, ...multipart(lines) })).id;
    },
    async create(file, name, signal) {
      const body = JSON.stringify({
        input_file_id: file,
        endpoint: "/v1/chat/completions",
        completion_window: "24h",
        metadata: { [nameKey]: name },
      });
      const headers = { "content-type": "application/json" };
      const made = read(remoteBatch, "/batches", { method: "POST", signal, headers, body, repeat: false });
      return made.catch(async (error: unknown) => (await find(name, signal)) ?? Promise.reject(error as Error));
    },
    async download(file, signal) {
      const path = `/files/${encodeURIComponent(file)}/content`;
      const { bytes } = await call(path, { method: "GET", signal, maxBytes: largestFile });
      // other characters that end lines elsewhere may stand inside JSON
      return bytes
        .toString("utf8")
        .split("\n")
        .filter((line) => line.trim() !== "");
    },
  };
}

interface Request extends Pick<Exchange, "method" | "signal" | "body"> {
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxBytes?: number;
  readonly repeat?: boolean;
}

interface Calls {
  call(path: string, request: Request): Promise<HttpReply>;
  /** the reply's JSON, held to a shape */
  read<T>(shape: z.ZodType<T>, path: string, request: Request): Promise<T>;
}

/** Requests below a base address; what fails for a passing reason is repeated, unless it must not be. */
function openCalls(options: Required<Omit<BatchOptions, "key">> & { key: string | undefined }): Calls {
  const { key, timeoutMs, backoffMs } = options;
  const base = baseOf(options.baseUrl);
  const transport = openTransport();
  const call: Calls["call"] = async (path, { signal, repeat = true, ...request }) => {
    const headers = { ...headersFor(key), ...request.headers };
    const exchange: Exchange = {
      maxBytes: largestReply,
      ...request,
      url: `${base}${path}`,
      headers,
      timeoutMs,
      signal,
    };
    for (let tried = 1; ; tried++) {
      const reply = await transport.exchange(exchange);
      signal?.throwIfAborted();
      const failure = failureOf(reply, key);
      if (failure === undefined) return reply as HttpReply;
      if (!failure.retry || !repeat || tried >= attempts) throw failed(failure, exchange.url, tried);
      await sleep(failure.waitMs ?? Math.min(30_000, backoffMs * 2 ** (tried - 1)), signal);
    }
  };
  const read: Calls["read"] = async (shape, path, request) => {
    const { bytes } = await call(path, request);
    const parsed = shape.safeParse(parse(bytes));
    if (parsed.success) return parsed.data;
    const got = `${parsed.error.issues[0]?.path.join(".") || "a body"}: ${parsed.error.issues[0]?.message ?? "wrong"}`;
    throw failed({ code: "ENDPOINT_NONSENSE", got, retry: false }, `${base}${path}`, 1);
  };
  return { call, read };
}

function failureOf(
  reply: Awaited<ReturnType<ReturnType<typeof openTransport>["exchange"]>>,
  key: string | undefined,
): Failure | undefined {
  if ("broken" in reply) {
    const code = reply.broken === "timeout" ? "ENDPOINT_TIMEOUT" : reply.arrived ? "ENDPOINT_BROKEN" : "ENDPOINT_DOWN";
    return { code, got: `a connection that broke (${reply.broken})`, retry: reply.broken !== "too large" };
  }
  const { status, bytes, headers } = reply;
  if (status >= 200 && status < 300) return undefined;
  const problem = decodeProblem(parse(bytes));
  return classify(Math.max(status, 400), problem?.code ?? "", clean(problem?.message ?? "", key), headers);
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8")) as unknown;
  } catch {
    return undefined;
  }
}

/** RFC 7578: the purpose and the file. */
function multipart(lines: string): { headers: Record<string, string>; body: string } {
  const mark = `llava-${randomBytes(16).toString("hex")}`;
  const part = (head: string, body: string): string =>
    `--${mark}\r\ncontent-disposition: form-data; ${head}\r\n\r\n${body}\r\n`;
  const file = 'name="file"; filename="requests.jsonl"\r\ncontent-type: application/jsonl';
  return {
    headers: { "content-type": `multipart/form-data; boundary=${mark}` },
    body: `${part('name="purpose"', "batch")}${part(file, lines)}--${mark}--\r\n`,
  };
}
