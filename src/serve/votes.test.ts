// Votes over a real socket: lines on disk before they are confirmed, no words in them unless told, nothing taken by default.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tinyPicture } from "../../test/tiny-llava.ts";
import { readVotes, type VoteLine } from "../evaluate/votes/line.ts";
import { openTinyServers, type TinyServers } from "./tiny-server.fixture.ts";
import { openVotes } from "./votes.ts";

let tiny: TinyServers;
let folder: string;
beforeAll(async () => {
  [tiny, folder] = await Promise.all([openTinyServers(), mkdtemp(join(tmpdir(), "votes-"))]);
});
afterAll(async () => {
  expect(tiny.internal).toEqual([]);
  await tiny.end();
  await rm(folder, { recursive: true });
});

async function start(name: string, conversations = false): Promise<{ url: string; path: string }> {
  const path = join(folder, name);
  const { url } = await tiny.start({
    models: [tiny.model, { ...tiny.model, name: "other" }],
    votes: await openVotes(path, { conversations }),
    limits: { voteBytes: 100_000 },
  });
  return { url, path };
}

async function send(url: string, body: unknown, headers = {}): Promise<{ status: number; body: Told }> {
  const sent = { "content-type": "application/json", ...headers };
  const response = await fetch(`${url}/v1/votes`, { method: "POST", headers: sent, body: JSON.stringify(body) });
  return { status: response.status, body: (await response.json()) as Told };
}

interface Told extends Partial<VoteLine> {
  readonly error?: { readonly code: string; readonly param: string | null };
}

const linesOf = async (path: string): Promise<Record<string, unknown>[]> =>
  (await readFile(path, "utf8"))
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

const messages = [{ role: "user", content: "A secret question?" }];
const vote = (more: object = {}): object => ({
  ...{ vote: "a", blind: true, a: { model: "tiny" }, b: { model: "other" }, messages },
  answers: { a: "A secret answer.", b: "Another secret." },
  ...more,
});

describe("votes", () => {
  it("are on disk as one line each when they are confirmed, without a word of what was said", async () => {
    const { url, path } = await start("a.jsonl");
    const warm = { model: "other", settings: { temperature: 0.7, top_k: null }, system: "A secret prompt." };
    const { status, body } = await send(url, vote({ b: warm, vote: "both_bad", blind: false }));
    const [line, ...more] = await linesOf(path);
    expect([status, more]).toEqual([200, []]);
    expect(line).toEqual({
      time: body.time,
      vote: "both_bad",
      blind: false,
      a: { model: "tiny", settings: {} },
      b: { model: "other", settings: { temperature: 0.7 }, system: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) },
      conversation: body.conversation,
    });
    expect(Math.abs(Date.parse(body.time!) - Date.now())).toBeLessThan(60_000);
    expect(await readFile(path, "utf8")).not.toContain("ecret");
    expect((await readVotes(path)).votes).toEqual([line]);
  });

  it("know a conversation by its words and pictures, whoever stood where", async () => {
    const { url } = await start("b.jsonl");
    const ask = async (seed: number, more: object = {}): Promise<string> => {
      const image_url = { url: await tinyPicture(seed) };
      const content = [
        { type: "image_url", image_url },
        { type: "text", text: "What?" },
      ];
      return (await send(url, vote({ messages: [{ role: "user", content }], ...more }))).body.conversation!;
    };
    const first = await ask(1);
    expect(await ask(1, { a: { model: "other" }, b: { model: "tiny" }, vote: "b" })).toBe(first);
    expect(await ask(2)).not.toBe(first);
  });

  it("hold conversations only where the server was told to", async () => {
    const { url, path } = await start("c.jsonl", true);
    await send(url, vote({ a: { model: "tiny", system: "Be brief." } }));
    const [line] = await linesOf(path);
    expect(line).toMatchObject({
      a: { system: "Be brief." },
      messages,
      answers: { a: "A secret answer.", b: "Another secret." },
    });
  });

  it("that come together lie one after the other, behind what was there, torn lines left alone", async () => {
    const path = join(folder, "d.jsonl");
    await writeFile(path, '{"time":"2026-01-');
    const { url } = await start("d.jsonl");
    const kinds = ["a", "b", "tie", "both_bad"] as const;
    const sent = await Promise.all(Array.from({ length: 40 }, (_, i) => send(url, vote({ vote: kinds[i % 4] }))));
    expect(sent.every(({ status }) => status === 200)).toBe(true);
    const { votes, torn } = await readVotes(path);
    expect([votes.length, torn]).toEqual([40, 1]);
    for (const kind of kinds) expect(votes.filter((each) => each.vote === kind)).toHaveLength(10);
    // another server goes on with the file
    const next = await start("d.jsonl");
    await send(next.url, vote());
    expect((await readVotes(path)).votes).toHaveLength(41);
  });

  it("are refused where they are wrong, and nothing is written", async () => {
    const { url, path } = await start("e.jsonl");
    const cases: [object, number, string, string | null][] = [
      [vote({ vote: "left" }), 400, "invalid_value", "vote"],
      [vote({ a: { model: "third" } }), 404, "model_not_found", "model"],
      [vote({ a: { model: "tiny", settings: { temperature: 9 } } }), 400, "invalid_value", "a.settings.temperature"],
      [vote({ a: { model: "tiny", settings: { other: 1 } } }), 400, "invalid_value", "a.settings"],
      [vote({ messages: [] }), 400, "invalid_value", "messages"],
      [vote({ answers: { a: "x".repeat(100_000), b: "" } }), 413, "body_size", null],
    ];
    for (const [body, status, code, param] of cases) {
      expect(await send(url, body)).toMatchObject({ status, body: { error: { code, param } } });
    }
    expect(await linesOf(path)).toEqual([]);
  });

  it("want a key where all routes do, and a server that was told where they go", async () => {
    const path = join(folder, "f.jsonl");
    const { url } = await tiny.start({ keys: ["sk-a"], votes: await openVotes(path, { conversations: false }) });
    expect((await send(url, vote())).status).toBe(401);
    const one = vote({ b: { model: "tiny" } });
    expect((await send(url, one, { authorization: "Bearer sk-a" })).status).toBe(200);
    const { url: without } = await tiny.start();
    expect(await send(without, one)).toMatchObject({ status: 404, body: { error: { code: "votes_off" } } });
    const told = async (base: string, headers = {}): Promise<unknown> =>
      ((await (await fetch(`${base}/v1/models`, { headers })).json()) as { votes: unknown }).votes;
    expect([await told(url, { authorization: "Bearer sk-a" }), await told(without)]).toEqual([true, false]);
  });

  it("go to no file of another kind, and to no folder that is not there", async () => {
    const path = join(folder, "words.txt");
    await writeFile(path, "Words.");
    await expect(openVotes(path, { conversations: false })).rejects.toMatchObject({ code: "VOTES_FILE" });
    expect(await readFile(path, "utf8")).toBe("Words.");
    await expect(openVotes(join(folder, "no", "v.jsonl"), { conversations: false })).rejects.toMatchObject({
      code: "FILE_NOT_WRITABLE",
    });
  });
});
