import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { openEndpoint, type Endpoint, type EndpointOptions } from "./endpoint.ts";
import type { EndpointError } from "./failure.ts";
import { keyFrom } from "./key.ts";

const key = "sk-secret-0123456789";
const request = { model: "m", messages: [{ role: "user", content: "hello" }], maxTokens: 5 } as const;
const good = {
  model: "m-2",
  choices: [{ finish_reason: "stop", message: { role: "assistant", content: "hi" } }],
  usage: { prompt_tokens: 7, completion_tokens: 1 },
};

type Answer = (response: ServerResponse, request: IncomingMessage, body: string) => void;

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A server that gives the answers in turn, the last one for ever; counts requests. */
async function serve(
  ...answers: Answer[]
): Promise<{ base: string; seen: { body: string; at: number; key: string }[] }> {
  const seen: { body: string; at: number; key: string }[] = [];
  const server = createServer((incoming, response) => {
    let body = "";
    incoming.on("data", (chunk: Buffer) => (body += chunk.toString()));
    incoming.on("end", () => {
      const answer = answers[Math.min(seen.length, answers.length - 1)] as Answer;
      seen.push({ body, at: performance.now(), key: incoming.headers.authorization ?? "" });
      answer(response, incoming, body);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, seen };
}

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
const raw =
  (body: string, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(200, headers).end(body);
const problem = (message: string, code = ""): unknown => ({ error: { message, code } });

function client(base: string, options: Partial<EndpointOptions> = {}): Endpoint {
  return openEndpoint({ baseUrl: base, key, attempts: 3, backoffMs: 5, timeoutMs: 2000, ...options });
}

async function failure(endpoint: Endpoint): Promise<EndpointError> {
  const error = await endpoint.chat(request).then(
    () => undefined,
    (error: unknown) => error as EndpointError,
  );
  expect(error).toBeDefined();
  expect(error?.message).not.toContain(key);
  return error as EndpointError;
}

describe("an answer", () => {
  test("carries text, reason, model and tokens; the request carries the key and the limits", async () => {
    const { base, seen } = await serve(json(200, good));
    const reply = await client(`${base}/`).chat({ ...request, temperature: 0, seed: 3 });
    const usage = { promptTokens: 7, completionTokens: 1 };
    expect(reply).toEqual({ text: "hi", finishReason: "stop", model: "m-2", usage });
    expect(seen[0]?.key).toBe(`Bearer ${key}`);
    expect(JSON.parse(seen[0]?.body ?? "")).toEqual({
      model: "m",
      messages: request.messages,
      max_tokens: 5,
      temperature: 0,
      seed: 3,
      stream: false,
    });
  });

  test("may lack usage, and may be a refusal", async () => {
    const { base } = await serve(json(200, { choices: [{ message: { content: null, refusal: "I won't" } }] }));
    expect(await client(base).chat(request)).toEqual({ text: "", finishReason: "unknown", refusal: "I won't" });
  });

  test("comes without a key where none is needed", async () => {
    const { base, seen } = await serve(json(200, good));
    await openEndpoint({ baseUrl: base }).chat(request);
    expect(seen[0]?.key).toBe("");
  });

  test("the newer name of the token limit is used once the endpoint asks for it", async () => {
    const asks = problem("Unsupported parameter: use 'max_completion_tokens' instead", "unsupported_parameter");
    const { base, seen } = await serve(json(400, asks), json(200, good));
    const endpoint = client(base);
    await endpoint.chat(request);
    await endpoint.chat(request);
    const limits = seen.map(({ body }) =>
      Object.keys(JSON.parse(body) as object).find((name) => name.startsWith("max_")),
    );
    expect(limits).toEqual(["max_tokens", "max_completion_tokens", "max_completion_tokens"]);
  });
});

describe("what passes is repeated", () => {
  test.each([408, 409, 429, 500, 503])("status %i", async (status) => {
    const { base, seen } = await serve(json(status, problem("busy")), json(200, good));
    expect((await client(base).chat(request)).text).toBe("hi");
    expect(seen).toHaveLength(2);
  });

  test("a connection reset in the middle of the body", async () => {
    const cut: Answer = (response) => {
      response.writeHead(200, { "content-type": "application/json", "content-length": "500" }).write('{"choices"');
      setTimeout(() => response.destroy(), 10);
    };
    const { base, seen } = await serve(cut, json(200, good));
    expect((await client(base).chat(request)).text).toBe("hi");
    expect(seen).toHaveLength(2);
  });

  test("a hang, up to the timeout", async () => {
    const { base, seen } = await serve(() => {}, json(200, good));
    expect((await client(base, { timeoutMs: 100 }).chat(request)).text).toBe("hi");
    expect(seen).toHaveLength(2);
  });

  test.each([
    ["retry-after", "0.3"],
    ["retry-after-ms", "300"],
  ])("after the wait that %s asks for", async (name, value) => {
    const { base, seen } = await serve(json(429, problem("slow down"), { [name]: value }), json(200, good));
    await client(base).chat(request);
    expect((seen[1]?.at ?? 0) - (seen[0]?.at ?? 0)).toBeGreaterThanOrEqual(295);
  });

  test("a rate limit holds back all requests", async () => {
    const { base, seen } = await serve(json(429, problem("slow"), { "retry-after-ms": "300" }), json(200, good));
    const endpoint = client(base, { concurrency: 1 });
    await Promise.all([endpoint.chat(request), endpoint.chat(request)]);
    expect(seen).toHaveLength(3);
    expect((seen[1]?.at ?? 0) - (seen[0]?.at ?? 0)).toBeGreaterThanOrEqual(295);
  });

  test("x-should-retry decides where it is sent", async () => {
    const { base, seen } = await serve(json(500, problem("no"), { "x-should-retry": "false" }), json(200, good));
    expect((await failure(client(base))).code).toBe("ENDPOINT_SERVER");
    expect(seen).toHaveLength(1);
  });
});

describe("what does not pass is one clear error", () => {
  const cases: [string, Answer, string, number, RegExp][] = [
    ["401", json(401, problem(`Incorrect API key provided: ${key}`)), "ENDPOINT_AUTH", 1, /401.*\[key\]/],
    ["403", json(403, problem("no")), "ENDPOINT_AUTH", 1, /403/],
    [
      "429 for ever",
      json(429, problem("slow down"), { "retry-after": "0" }),
      "ENDPOINT_RATE",
      3,
      /slow down.*3 attempts/,
    ],
    ["429 without credit", json(429, problem("pay", "insufficient_quota")), "ENDPOINT_QUOTA", 1, /pay/],
    ["a wait of an hour", json(429, problem("later"), { "retry-after": "3600" }), "ENDPOINT_RATE", 1, /3600 s/],
    ["500 for ever", json(500, problem("oops")), "ENDPOINT_SERVER", 3, /oops/],
    ["400", json(400, problem("bad model")), "ENDPOINT_REFUSED", 1, /bad model/],
    [
      "404 in plain text",
      (r) => r.writeHead(404).end("not\u001b[31m here\n"),
      "ENDPOINT_REFUSED",
      1,
      /"not \[31m here"/,
    ],
    ["an error under 200", json(200, { error: { code: 503, message: "full" } }), "ENDPOINT_SERVER", 3, /503.*full/],
    [
      "a web page",
      raw("<html>hello</html>", { "content-type": "text/html" }),
      "ENDPOINT_NONSENSE",
      1,
      /text\/html.*<html>/,
    ],
    ["truncated JSON", raw(JSON.stringify(good).slice(0, 40)), "ENDPOINT_NONSENSE", 1, /no JSON/],
    ["other JSON", json(200, { hello: 1 }), "ENDPOINT_NONSENSE", 1, /choices/],
    ["no choice", json(200, { choices: [] }), "ENDPOINT_NONSENSE", 1, /choices/],
    ["nothing", raw(""), "ENDPOINT_NONSENSE", 1, /empty body/],
    ["bytes that are no text", (r) => r.end(Buffer.from([0xff, 0xfe, 0x00])), "ENDPOINT_NONSENSE", 1, /no JSON/],
    ["too much", raw(`"${"x".repeat(200_000)}"`), "ENDPOINT_TOO_LARGE", 1, /100000 bytes/],
    ["too much without saying", (r) => r.write("x".repeat(200_000)), "ENDPOINT_TOO_LARGE", 1, /100000 bytes/],
    [
      "a redirect",
      (r) => r.writeHead(307, { location: "http://127.0.0.2/steal" }).end(),
      "ENDPOINT_REDIRECT",
      1,
      /steal/,
    ],
    ["a hang for ever", () => {}, "ENDPOINT_TIMEOUT", 3, /0\.3 s/],
    ["a body that never ends", (r) => r.write('{"choices":'), "ENDPOINT_TIMEOUT", 3, /0\.3 s/],
    ["a reset for ever", (r) => r.destroy(), "ENDPOINT_BROKEN", 3, /broke/],
  ];
  test.each(cases)("%s", async (_name, answer, code, attempts, message) => {
    const { base, seen } = await serve(answer);
    const timeoutMs = code === "ENDPOINT_TIMEOUT" ? 300 : 5000;
    const error = await failure(client(base, { timeoutMs, maxResponseBytes: 100_000 }));
    expect(error.code).toBe(code);
    expect(error.exitCode).toBe(2);
    expect(seen).toHaveLength(attempts);
    expect(error.attempts).toBe(attempts);
    expect(error.message).toMatch(message);
    // eslint-disable-next-line no-control-regex
    expect(error.message).not.toMatch(/[\u0000-\u001f]/);
  });

  test("a server that is down", async () => {
    const { base } = await serve(json(200, good));
    servers.splice(0).forEach((server) => server.close());
    const error = await failure(client(base));
    expect(error.code).toBe("ENDPOINT_DOWN");
    expect(error.message).toMatch(/refused connection.*127\.0\.0\.1.*start the server/);
  });
});

test("never more requests at once than allowed", async () => {
  let now = 0;
  let most = 0;
  const { base } = await serve((response) => {
    most = Math.max(most, ++now);
    setTimeout(() => {
      now--;
      json(200, good)(response, {} as IncomingMessage, "");
    }, 10);
  });
  const endpoint = client(base, { concurrency: 3 });
  await Promise.all(Array.from({ length: 20 }, () => endpoint.chat(request)));
  expect(most).toBe(3);
});

test("an abort ends a request and a wait at once", async () => {
  const { base } = await serve(json(429, problem("slow"), { "retry-after": "60" }));
  const controller = new AbortController();
  const asked = client(base).chat(request, { signal: controller.signal, onRetry: () => controller.abort("enough") });
  await expect(asked).rejects.toBe("enough");
});

describe("options", () => {
  const cases: [string, Partial<EndpointOptions>, string][] = [
    ["an address with a password", { baseUrl: "http://me:pw@host/v1" }, "ENDPOINT_ADDRESS"],
    ["a file", { baseUrl: "file:///etc/passwd" }, "ENDPOINT_ADDRESS"],
    ["no address", { baseUrl: "localhost" }, "ENDPOINT_ADDRESS"],
    ["a query", { baseUrl: "http://host/v1?key=abc" }, "ENDPOINT_ADDRESS"],
    ["a key of two lines", { key: `${key}\nx: y` }, "ENDPOINT_KEY"],
    ["no requests at all", { concurrency: 0 }, "ENDPOINT_OPTION"],
  ];
  test.each(cases)("%s is refused", (_name, options, code) => {
    const open = (): Endpoint => openEndpoint({ baseUrl: "http://host", ...options });
    expect(open).toThrow(expect.objectContaining({ code }) as Error);
    expect(open).not.toThrow(/sk-secret|pw@|abc/);
  });

  test("a full address is taken as it is", () => {
    expect(openEndpoint({ baseUrl: "http://host/v1/chat/completions" }).url).toBe("http://host/v1/chat/completions");
  });

  test("a key comes from the named variable", () => {
    expect(keyFrom("K", { K: " abc " })).toBe("abc");
    expect(keyFrom(undefined, { OPENAI_API_KEY: "abc" })).toBeUndefined();
    expect(() => keyFrom("K", {})).toThrow(/variable K/);
  });
});
