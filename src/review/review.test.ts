// The review over a real socket and real files: what is decided, what is kept through a kill, who is turned away.
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openReview, type Review } from "./samples.ts";
import { serveReview, type ReviewServer } from "./server.ts";

let folder: string;
let file: string;
let review: Review;
let server: ReviewServer;
let token: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "review-"));
  file = join(folder, "x.jsonl");
  const turns = (i: number) => [
    { from: "human", value: "<image>\nWhat?" },
    { from: "gpt", value: `Answer ${i}.` },
  ];
  const lines = [0, 1, 2, 3].map((i) =>
    JSON.stringify({ id: `s${i}`, image: "a.png", conversations: turns(i), kind: "vqa" }),
  );
  writeFileSync(file, `${lines.join("\n")}\n`);
  const png = sharp({ create: { width: 4, height: 4, channels: 3, background: "red" } }).png();
  writeFileSync(join(folder, "a.png"), await png.toBuffer());
  await start();
});
afterEach(async () => {
  await stop();
  rmSync(folder, { recursive: true });
});

async function start(): Promise<void> {
  review = await openReview(file);
  server = await serveReview(review, folder);
  token = /name="token" content="([^"]+)"/.exec((await call("/")).body)?.[1] ?? "";
}

async function stop(): Promise<void> {
  await server.close();
  await review.close();
}

interface Reply {
  readonly status: number;
  readonly body: string;
  readonly type: string;
}

function call(path: string, options: { body?: unknown; host?: string; token?: string } = {}): Promise<Reply> {
  const { port, host } = new URL(server.address);
  return new Promise((resolve, reject) => {
    const headers = { host: options.host ?? host, "x-review": options.token ?? token ?? "" };
    const method = options.body === undefined ? "GET" : "POST";
    const outgoing = request({ host: "127.0.0.1", port, path, method, headers }, (incoming) => {
      let body = "";
      incoming.on("data", (chunk: Buffer) => (body += chunk.toString("latin1")));
      incoming.on("end", () =>
        resolve({ status: incoming.statusCode ?? 0, body, type: String(incoming.headers["content-type"]) }),
      );
    });
    outgoing.on("error", reject);
    outgoing.end(options.body === undefined ? undefined : JSON.stringify(options.body));
  });
}

const decide = (place: number, body: object): Promise<Reply> => call(`/sample/${place}`, { body });
const lines = (path: string): { id: string; review?: string; conversations: { value: string }[] }[] =>
  readFileSync(path, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

test("samples are shown, decided, and written back as a whole", async () => {
  expect(JSON.parse((await call("/sample/1")).body)).toMatchObject({ place: 1, count: 4, sample: { id: "s1" } });
  expect(await call("/picture/0/0")).toMatchObject({ status: 200, type: "image/png" });
  expect((await decide(0, { decision: "accepted" })).status).toBe(200);
  expect((await decide(1, { decision: "rejected" })).status).toBe(200);
  const conversations = [
    { from: "human", value: "<image>\nWhat?" },
    { from: "gpt", value: "Better." },
  ];
  const reply = await decide(2, { decision: "edited", conversations });
  expect(JSON.parse(reply.body)).toMatchObject({
    decision: "edited",
    decided: { accepted: 1, edited: 1, rejected: 1 },
  });
  expect(lines(file)).toHaveLength(4);
  expect(JSON.parse((await call("/done", { body: {} })).body)).toEqual({ accepted: 1, edited: 1, rejected: 1 });
  await server.done;
  const kept = lines(file);
  expect(kept.map(({ id, review }) => [id, review])).toEqual([
    ["s0", "accepted"],
    ["s2", "edited"],
    ["s3", undefined],
  ]);
  expect(kept[1]?.conversations[1]?.value).toBe("Better.");
  expect(lines(`${file}.rejected.jsonl`).map(({ id }) => id)).toEqual(["s1"]);
  expect(existsSync(`${file}.review.jsonl`)).toBe(false);
});

test("a decision is taken back, an edit with it; accepting keeps an edit", async () => {
  const conversations = [
    { from: "human", value: "<image>\nWhat?" },
    { from: "gpt", value: "Better." },
  ];
  await decide(0, { decision: "edited", conversations });
  expect(JSON.parse((await decide(0, { decision: "accepted" })).body)).toMatchObject({ decision: "edited" });
  await decide(1, { decision: "rejected" });
  const undone = JSON.parse((await call("/undo/1", { body: {} })).body) as object;
  expect(undone).toMatchObject({ place: 1, decided: { accepted: 0, edited: 1, rejected: 0 } });
  expect(undone).not.toHaveProperty("decision");
  await stop();
  await start();
  expect(review.decided).toEqual({ accepted: 0, edited: 1, rejected: 0 });
  await call("/undo/0", { body: {} });
  await call("/done", { body: {} });
  expect(lines(file).map(({ conversations: turns }) => turns[1]?.value)).toEqual(
    [0, 1, 2, 3].map((i) => `Answer ${i}.`),
  );
});

test("the nearest sample of a kind, decided or not, forwards and back", async () => {
  await stop();
  const kinds = ["vqa", "count", "vqa", undefined];
  writeFileSync(
    file,
    lines(file)
      .map((line, i) => `${JSON.stringify({ ...line, kind: kinds[i] })}\n`)
      .join(""),
  );
  await start();
  await decide(0, { decision: "accepted" });
  const found = async (query: string): Promise<unknown> =>
    (JSON.parse((await call(`/find?${query}`)).body) as { place: number } | null)?.place;
  expect(JSON.parse((await call("/kinds")).body)).toEqual([
    ["vqa", 2],
    ["count", 1],
    ["", 1],
  ]);
  expect(await found("from=0&step=1")).toBe(0);
  expect(await found("from=0&step=1&decision=undecided")).toBe(1);
  expect(await found("from=1&step=1&kind=vqa")).toBe(2);
  expect(await found("from=3&step=-1&kind=vqa&decision=accepted")).toBe(0);
  expect(await found("from=0&step=1&kind=")).toBe(3);
  expect(await found("from=4&step=1")).toBeUndefined();
  expect((await call("/find?from=x")).status).toBe(400);
  expect((await call("/find?from=0&decision=eaten")).status).toBe(400);
});

test("decisions survive a kill, a torn line was never confirmed", async () => {
  await decide(0, { decision: "rejected" });
  await decide(3, { decision: "accepted" });
  await stop();
  appendFileSync(`${file}.review.jsonl`, '{"place":1,"decis');
  await start();
  expect(review.decided).toEqual({ accepted: 1, edited: 0, rejected: 1 });
  await decide(1, { decision: "accepted" });
  await stop();
  await start();
  expect(review.decided).toEqual({ accepted: 2, edited: 0, rejected: 1 });
});

describe("is refused", () => {
  test.each([
    ["another host", "/sample/0", { host: "evil.example" }, 403],
    ["a page without the token", "/sample/0", { token: "x" }, 403],
    ["a search without the token", "/find?from=0", { token: "x" }, 403],
    ["taking back without the token", "/undo/0", { token: "x", body: {} }, 403],
    ["a decision without the token", "/sample/0", { token: "x", body: { decision: "rejected" } }, 403],
    ["an unknown decision", "/sample/0", { body: { decision: "eaten" } }, 400],
    [
      "an edit that is no conversation",
      "/sample/0",
      { body: { decision: "edited", conversations: [{ from: "gpt", value: "x" }] } },
      400,
    ],
    [
      "an edit that loses the picture",
      "/sample/0",
      {
        body: {
          decision: "edited",
          conversations: [
            { from: "human", value: "x" },
            { from: "gpt", value: "y" },
          ],
        },
      },
      400,
    ],
    ["a place beyond the end", "/sample/9", {}, 400],
    ["a picture beyond the end", "/picture/0/7", {}, 404],
    ["any other path", "/../../etc/passwd", {}, 404],
    ["too much", "/sample/0", { body: { decision: "x".repeat(2 ** 20) } }, 400],
  ])("%s", async (_name, path, options, status) => {
    expect((await call(path, options)).status).toBe(status);
    expect(review.decided).toEqual({ accepted: 0, edited: 0, rejected: 0 });
  });

  test("a second review of the same file", async () => {
    await expect(openReview(file)).rejects.toMatchObject({ code: "REVIEW_BUSY" });
  });

  test("decisions about other samples", async () => {
    await decide(0, { decision: "rejected" });
    await stop();
    writeFileSync(file, readFileSync(file, "utf8").split("\n").slice(1).join("\n"));
    await expect(openReview(file)).rejects.toMatchObject({ code: "REVIEW_OTHER" });
    rmSync(`${file}.review.jsonl`);
    await start();
  });
});
