// Many at once: batched answers, the bounded queue, clients that leave, and the end of the server.
import { afterAll, beforeAll, expect, it } from "vitest";
import { tinyPicture } from "../../test/tiny-llava.ts";
import { defaultServeLimits } from "./limits.ts";
import { createDecoder } from "./decoder.ts";
import { metric, openTinyServers, type TinyServers, until } from "./tiny-server.fixture.ts";

let tiny: TinyServers;
beforeAll(async () => {
  tiny = await openTinyServers(4096);
});
afterAll(async () => {
  expect(tiny.internal).toEqual([]);
  await tiny.end();
});

interface Asked {
  readonly max_tokens?: number;
  readonly stream?: boolean;
  readonly messages?: unknown;
}

function ask(url: string, content: unknown, more: Asked = {}, signal?: AbortSignal): Promise<Response> {
  const body = JSON.stringify({ messages: [{ role: "user", content }], max_tokens: 4000, ...more });
  const headers = { "content-type": "application/json" };
  return fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body, ...(signal && { signal }) });
}

async function textOf(response: Response): Promise<string> {
  const { choices } = (await response.json()) as { choices: { message: { content: string } }[] };
  return choices[0]!.message.content;
}

it("computes answers side by side, each as it would be alone", async () => {
  const { url } = await tiny.start();
  const questions = Array.from({ length: 8 }, (_, i) => `Question ${i}, ${"word ".repeat(i)}`);
  const alone: string[] = [];
  for (const question of questions) alone.push(await textOf(await ask(url, question, { max_tokens: 120 })));
  let most = 0;
  const watching = setInterval(
    () => void metric(url, "llava_answers_running").then((n) => (most = Math.max(most, n))),
    5,
  );
  const together = await Promise.all(questions.map(async (each) => textOf(await ask(url, each, { max_tokens: 120 }))));
  clearInterval(watching);
  expect(together).toEqual(alone);
  expect(most).toBe(8);
});

it("refuses with 429 what does not fit the queue, at once, and says when to come again", async () => {
  const { url } = await tiny.start({ limits: { parallel: 1, queue: 1 } });
  const clients = [new AbortController(), new AbortController()];
  const running = [ask(url, "long", {}, clients[0]!.signal), ask(url, "waits", {}, clients[1]!.signal)];
  await until(async () => (await metric(url, "llava_requests_waiting")) === 1);
  const refused = await ask(url, "too many");
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  expect(Number(refused.headers.get("retry-after-ms"))).toBeGreaterThanOrEqual(1000);
  expect(await refused.json()).toMatchObject({ error: { type: "rate_limit_error", code: "rate_limit_exceeded" } });
  // the first leaves: its place goes to the second within a second, and then there is room again
  const left = performance.now();
  clients[0]!.abort();
  await expect(running[0]).rejects.toThrow();
  await until(async () => (await metric(url, "llava_requests_waiting")) === 0);
  expect(performance.now() - left).toBeLessThan(1000);
  clients[1]!.abort();
  await expect(running[1]).rejects.toThrow();
  expect((await ask(url, "now", { max_tokens: 1 })).status).toBe(200);
});

it("frees the place of a client that leaves, streaming or not", async () => {
  const { url } = await tiny.start({ limits: { parallel: 1 } });
  for (const stream of [true, false]) {
    const before = tiny.lines.length;
    const client = new AbortController();
    const response = ask(url, "long", { stream }, client.signal);
    if (stream) await (await response).body!.getReader().read();
    await until(async () => (await metric(url, "llava_answers_running")) === 1);
    const left = performance.now();
    client.abort();
    await response.catch(() => undefined);
    await until(async () => (await metric(url, "llava_answers_running")) === 0);
    expect(performance.now() - left).toBeLessThan(1000);
    await until(() => tiny.lines.slice(before).some((line) => line.left === true));
  }
});

it("finishes answers under way at its end, and lets nobody in", async () => {
  const server = await tiny.start();
  const streaming = await ask(server.url, "count", { max_tokens: 300, stream: true });
  const ended = server.end();
  const [late, health] = [await ask(server.url, "late"), await fetch(`${server.url}/health`)];
  expect([late.status, health.status]).toEqual([503, 503]);
  expect(await late.json()).toMatchObject({ error: { code: "server_ending" } });
  const text = await streaming.text();
  expect(text).toContain('"finish_reason":"length"');
  expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
  await ended;
  await expect(fetch(`${server.url}/health`)).rejects.toThrow();
});

it("cuts answers that take longer than the end may wait, and says so in the stream", async () => {
  const server = await tiny.start({ limits: { drainMs: 50 } });
  const streaming = await ask(server.url, "long", { stream: true });
  await server.end();
  const text = await streaming.text();
  expect(text).toContain('"code":"server_ending"');
  expect(text).not.toContain("[DONE]");
});

it("ends the process that takes too long over a picture, and starts another", async () => {
  const decoder = createDecoder({ ...defaultServeLimits, decoders: 1, decodeMs: 1 });
  const bytes = Buffer.from((await tinyPicture(1, 3000, 3000)).split(",")[1]!, "base64");
  const { preprocessor } = tiny.model.assistant.sight!;
  const gone = new AbortController();
  const decode = (signal = new AbortController().signal) =>
    decoder.views(bytes, "here", { preprocessor, low: false }, signal);
  const slow = { code: "PICTURE_SLOW", details: { where: "here" } };
  const first = expect(decode()).rejects.toMatchObject(slow);
  const waiting = expect(decode(gone.signal)).rejects.toThrow("left");
  gone.abort(new Error("left"));
  await Promise.all([first, waiting]);
  await expect(decode()).rejects.toMatchObject(slow);
  decoder.close();
});
