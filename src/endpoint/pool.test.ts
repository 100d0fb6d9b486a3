import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { openEndpoint } from "./endpoint.ts";
import { openPool } from "./pool.ts";
import { readPool } from "./pool-file.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

/** An endpoint that takes `ms` for an answer and counts requests; the model is told in its answer. */
async function serve(ms: number, status = 200): Promise<{ base: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((incoming, response) => {
    let body = "";
    incoming.on("data", (chunk: Buffer) => (body += chunk.toString()));
    incoming.on("end", () => {
      const { model } = JSON.parse(body) as { model: string };
      asked.push(model);
      const reply = JSON.stringify({ choices: [{ message: { content: model } }] });
      setTimeout(() => response.writeHead(status).end(status === 200 ? reply : "{}"), ms);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, asked };
}

const request = { model: "m", messages: [{ role: "user", content: "hello" }], maxTokens: 5 } as const;
const lost: string[] = [];

async function askAll(pool: ReturnType<typeof openPool>, count: number, at: number): Promise<void> {
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) await pool.chat(request);
  };
  await Promise.all(Array.from({ length: at }, worker));
}

describe("a pool", () => {
  test("gives each its weight while all keep up", async () => {
    const [a, b] = [await serve(2), await serve(2)];
    const members = [
      { endpoint: openEndpoint({ baseUrl: a.base, concurrency: 8 }), weight: 3 },
      { endpoint: openEndpoint({ baseUrl: b.base, concurrency: 8, model: "other" }), weight: 1 },
    ];
    await askAll(
      openPool(members, () => undefined),
      80,
      4,
    );
    expect([a.asked.length, b.asked.length]).toEqual([60, 20]);
    expect(new Set([...a.asked, ...b.asked])).toEqual(new Set(["m", "other"]));
  });

  test("does not wait for a slow one while another has room", async () => {
    const [slow, quick] = [await serve(200), await serve(2)];
    const members = [slow, quick].map(({ base }) => ({
      endpoint: openEndpoint({ baseUrl: base, concurrency: 2 }),
      weight: 1,
    }));
    await askAll(
      openPool(members, () => undefined),
      60,
      4,
    );
    expect(slow.asked.length).toBeLessThan(15);
  });

  test("leaves out one that gives out; its request goes elsewhere, and nothing is lost", async () => {
    const [bad, good] = [await serve(1, 401), await serve(1)];
    const members = [bad, good].map(({ base }) => ({ endpoint: openEndpoint({ baseUrl: base }), weight: 1 }));
    const pool = openPool(members, (url) => void lost.push(url));
    await askAll(pool, 20, 1);
    expect([bad.asked.length, good.asked.length, lost.length]).toEqual([1, 20, 1]);
    const none = openPool(members.slice(0, 1), () => undefined);
    await expect(none.chat(request)).rejects.toMatchObject({ code: "ENDPOINT_AUTH" });
    await expect(none.chat(request)).rejects.toMatchObject({ code: "ENDPOINT_AUTH" });
  });
});

describe("a pool's file", () => {
  const read = async (text: string): ReturnType<typeof readPool> => {
    const folder = await mkdtemp(join(tmpdir(), "pool-"));
    await writeFile(join(folder, "p.yaml"), text);
    return readPool(join(folder, "p.yaml")).finally(() => rm(folder, { recursive: true }));
  };

  test("tells address, weight, limits and price of each", async () => {
    const { model, members } = await read(
      "model: m\nendpoints:\n  - { url: http://localhost:1/v1, weight: 2, concurrency: 64 }\n  - { url: https://x.example/v1, price: 1/2 }\n",
    );
    expect(model).toBe("m");
    expect(
      members.map(({ weight, endpoint: { url, concurrency, price } }) => [url, weight, concurrency, price]),
    ).toEqual([
      ["http://localhost:1/v1/chat/completions", 2, 64, { input: 0, output: 0 }],
      ["https://x.example/v1/chat/completions", 1, 8, { input: 1, output: 2 }],
    ]);
  });

  test.each([
    ["model: m\nendpoints: []", "POOL_INVALID", /endpoints/],
    ["model: [", "POOL_INVALID", /YAML/],
    ["model: m\nendpoints: [{ url: http://localhost, wieght: 2 }]", "POOL_INVALID", /wieght/],
    ["model: m\nendpoints: [{ url: https://x.example }]", "PRICE_UNKNOWN", /--price/],
    ["model: m\nendpoints: [{ url: 'https://me:pw@x.example', price: free }]", "ENDPOINT_ADDRESS", /password/],
    ["model: m\nendpoints: [{ url: http://localhost, key_env: NO_SUCH_VARIABLE }]", "ENDPOINT_KEY", /NO_SUCH/],
  ])("%j is refused", async (text, code, message) => {
    await expect(read(text)).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
  });
});
