// Listens: models behind the app, over HTTP or TLS, until it is told to end; then answers under way are finished first.
import { createServer as createHttp, type Server } from "node:http";
import { createServer as createHttps } from "node:https";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { createApp, type RequestLog } from "./app.ts";
import { createDecoder } from "./decoder.ts";
import { RequestError, wireError } from "./errors.ts";
import type { FetchRules } from "./fetch-picture.ts";
import { Gate } from "./gate.ts";
import { Guard, type GuardOptions } from "./guard.ts";
import { defaultServeLimits, type ServeLimits } from "./limits.ts";
import { createMetrics } from "./metrics.ts";
import type { ServedModel } from "./models.ts";
import { type Page, readPage } from "./page.ts";
import type { VoteBook } from "./votes.ts";

export interface ServeOptions extends Partial<GuardOptions> {
  readonly models: readonly ServedModel[];
  /** 127.0.0.1 unless told */
  readonly host?: string;
  /** 0 for any that is free */
  readonly port: number;
  readonly limits?: Partial<ServeLimits>;
  /** where pictures may be fetched from; absent: nowhere */
  readonly fetching?: Pick<FetchRules, "hosts" | "resolve" | "allowed"> | undefined;
  /** certificate and key in PEM */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer } | undefined;
  readonly log?: (line: RequestLog, internal?: unknown) => void;
  readonly logPrompts?: boolean;
  /** of this package */
  readonly version?: string;
  /** the page at /; the built one unless told */
  readonly page?: Page;
  /** where votes between answers go; absent: none are taken */
  readonly votes?: VoteBook | undefined;
}

export interface Serving {
  /** e.g. http://127.0.0.1:8080 */
  readonly url: string;
  /** Lets no new request in, finishes those inside (within the limits' time), then closes. */
  end(): Promise<void>;
}

/** Half-sent heads hold nothing but a socket; they are cut after this many milliseconds. */
const headersTimeout = 10_000;
/** a large picture over a slow line */
const requestTimeout = 120_000;

/** Starts to serve. Rejects with the system's error when the address cannot be had. */
export async function serve(options: ServeOptions): Promise<Serving> {
  const { models, host = "127.0.0.1", port, tls, log = () => undefined } = options;
  const limits = { ...defaultServeLimits, ...options.limits };
  const gate = new Gate(limits);
  const guard = new Guard({ keys: [], hosts: [], origins: [], ...options });
  const decoder = createDecoder(models.some(({ assistant }) => assistant.sight) ? limits : { ...limits, decoders: 0 });
  const kitchen = { limits, decoder, fetching: options.fetching, metrics: createMetrics(gate), viewCounts: new Map() };
  const { logPrompts = false, version = "0", page = readPage(), votes } = options;
  const app = createApp({ models, kitchen, gate, guard, log, logPrompts, version, page, votes });
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false, errorHandler: malformed });
  const settings = { headersTimeout, requestTimeout, connectionsCheckingInterval: 2000, maxHeaderSize: 16_384 };
  const onRequest = (...[incoming, outgoing]: Parameters<typeof listener>): void => void listener(incoming, outgoing);
  const server: Server = tls ? createHttps({ ...settings, ...tls }, onRequest) : createHttp(settings, onRequest);
  try {
    await listen(server, port, host);
  } catch (error) {
    decoder.close();
    throw error;
  }
  const { port: bound } = server.address() as AddressInfo;
  const shown = host.includes(":") ? `[${host}]` : host;
  return {
    url: `${tls ? "https" : "http"}://${shown}:${bound}`,
    end: async () => {
      await gate.drain(limits.drainMs);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      // answers are complete; what still lies in their sockets goes out, connections that do nothing are cut
      setTimeout(() => server.closeAllConnections(), 1000).unref();
      await closed;
      decoder.close();
    },
  };
}

/** An address or a Host that makes no URL. */
function malformed(): Response {
  const error = new RequestError(400, "INVALID_ADDRESS", {
    expected: "a path and a Host of HTTP",
    got: "something else",
  });
  return Response.json(wireError(error).body, { status: 400 });
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
