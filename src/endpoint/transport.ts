// One HTTP exchange within limits, over node:http: no hidden retry, timeout or redirect, and whether it may have arrived.
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";

export interface Exchange {
  readonly url: string;
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** from the call to the last byte */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpReply {
  readonly status: number;
  readonly headers: ReplyHeaders;
  readonly bytes: Buffer;
}

/** The part of fetch's Headers that is read here. */
export interface ReplyHeaders {
  get(name: string): string | null;
}

/** Why there is no whole reply. */
export interface Broken {
  readonly broken: "network" | "timeout" | "too large" | "aborted";
  /** whether the other side may have received the request */
  readonly arrived: boolean;
  /** the status, where a head came */
  readonly status?: number;
  readonly cause?: unknown;
}

export interface Transport {
  exchange(options: Exchange): Promise<HttpReply | Broken>;
  /** closes idle connections */
  close(): void;
}

/** Keeps connections open between requests; the calls bound how many there are. */
export function openTransport(): Transport {
  const agents = { "http:": new HttpAgent({ keepAlive: true }), "https:": new HttpsAgent({ keepAlive: true }) };
  return {
    exchange: (options) => exchange(options, agents),
    close() {
      agents["http:"].destroy();
      agents["https:"].destroy();
    },
  };
}

interface Agents {
  readonly "http:": HttpAgent;
  readonly "https:": HttpsAgent;
}

function exchange(options: Exchange, agents: Agents): Promise<HttpReply | Broken> {
  const { url, method, headers, body = "", timeoutMs, maxBytes, signal } = options;
  if (signal?.aborted === true) return Promise.resolve({ broken: "aborted", arrived: false });
  const target = new URL(url);
  const secure = target.protocol === "https:";
  const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
  return new Promise((resolve) => {
    const outgoing = (secure ? httpsRequest : httpRequest)(target, {
      method,
      agent: secure ? agents["https:"] : agents["http:"],
      headers: { ...headers, "content-length": length },
    });
    let status: number | undefined;
    let connected = false;
    const end = (result: HttpReply | Broken): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      resolve(result);
      if ("broken" in result) outgoing.destroy();
    };
    const fail = (broken: Broken["broken"], cause?: unknown): void =>
      end({ broken, arrived: connected, cause, ...(status === undefined ? {} : { status }) });
    const onAbort = (): void => fail("aborted", signal?.reason);
    const timer = setTimeout(() => fail("timeout"), timeoutMs);
    signal?.addEventListener("abort", onAbort, { once: true });
    outgoing.on("socket", (socket) => {
      if (socket.connecting) socket.once("connect", () => (connected = true));
      else connected = true;
    });
    outgoing.on("error", (cause) => fail("network", cause));
    outgoing.on("response", (incoming) => {
      status = incoming.statusCode ?? 0;
      collect(incoming, maxBytes, { done: end, fail });
    });
    outgoing.end(body);
  });
}

/** Reads a body that may break off or exceed the limit. */
function collect(
  incoming: IncomingMessage,
  maxBytes: number,
  { done, fail }: { done(reply: HttpReply): void; fail(broken: Broken["broken"], cause?: unknown): void },
): void {
  const chunks: Buffer[] = [];
  let size = 0;
  incoming.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size > maxBytes) fail("too large");
    else chunks.push(chunk);
  });
  incoming.on("error", (cause) => fail("network", cause));
  incoming.on("end", () => {
    const get = (name: string): string | null => {
      const value = incoming.headers[name];
      return value === undefined ? null : String(value);
    };
    done({ status: incoming.statusCode ?? 0, headers: { get }, bytes: Buffer.concat(chunks) });
  });
}
