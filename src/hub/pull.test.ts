// Pulling from a hub that is one: a real server on this machine, with redirects, broken connections and wrong bytes.
import { createHash } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { pull, type PullOptions } from "./pull.ts";

const commit = "0123456789abcdef0123456789abcdef01234567";
const id = "someone/tiny";
const weights = Buffer.alloc(300_000, 7);
const files: Record<string, Buffer> = {
  "config.json": Buffer.from('{"model_type":"llava"}'),
  "model.safetensors": weights,
  "flax_model.msgpack": Buffer.from("not wanted"),
  "onnx/model.onnx": Buffer.from("not wanted"),
};
const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const gitSha1 = (bytes: Buffer): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

interface Seen {
  readonly server: "hub" | "cdn";
  readonly url: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}
let seen: Seen[];
/** the next answer with weights breaks after so many bytes */
let breakAfter: number | undefined;
let damaged: boolean;
let listed: () => unknown[];
let hub: Server;
let cdn: Server;
let root: string;

const address = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const listen = (server: Server): Promise<void> => new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

function tree(): unknown[] {
  return Object.entries(files).map(([path, bytes]) => ({
    type: "file",
    path,
    size: bytes.length,
    oid: gitSha1(bytes),
    ...(path === "model.safetensors" && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } }),
  }));
}

function note(server: Seen["server"], { url = "", headers: { range, authorization } }: IncomingMessage): void {
  seen.push({ server, url, range, authorization });
}

function answerHub(request: IncomingMessage, response: ServerResponse): void {
  note("hub", request);
  const url = request.url!;
  const json = (value: unknown): void =>
    void response.setHeader("content-type", "application/json").end(JSON.stringify(value));
  if (!url.includes(id)) response.writeHead(404).end("{}");
  else if (request.headers.authorization !== "Bearer hf_secret") response.writeHead(401).end("{}");
  else if (url.includes("/tree/")) json(listed());
  else if (url.startsWith("/api/"))
    json({
      _id: "1",
      id,
      modelId: id,
      sha: commit,
      private: false,
      downloads: 0,
      gated: false,
      likes: 0,
      lastModified: "2026-01-01",
    });
  else if (url.endsWith("model.safetensors")) response.writeHead(302, { location: `${address(cdn)}/weights` }).end();
  else response.end(files[url.split(`/resolve/${commit}/`)[1]!]);
}

function answerCdn(request: IncomingMessage, response: ServerResponse): void {
  note("cdn", request);
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const bytes = damaged ? Buffer.alloc(weights.length, 8) : weights;
  const status = start > 0 ? 206 : 200;
  response.writeHead(status, {
    "content-length": bytes.length - start,
    ...(start > 0 && { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
  });
  if (breakAfter === undefined) return void response.end(bytes.subarray(start));
  response.write(bytes.subarray(start, breakAfter), () => setTimeout(() => response.destroy(), 20));
  breakAfter = undefined;
}

beforeAll(async () => {
  [hub, cdn] = [createServer(answerHub), createServer(answerCdn)];
  await Promise.all([listen(hub), listen(cdn)]);
});
afterAll(() => {
  hub.closeAllConnections();
  cdn.closeAllConnections();
  hub.close();
  cdn.close();
});
beforeEach(async () => {
  [seen, breakAfter, damaged, listed] = [[], undefined, false, tree];
  vi.stubEnv("HF_TOKEN", "hf_secret");
  root = await mkdtemp(join(tmpdir(), "hub-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true });
});

const get = (options: PullOptions = {}): Promise<string> =>
  pull(id, { cache: root, endpoint: address(hub), ...options });

it("fetches what a model needs, checks it, and asks for nothing twice", async () => {
  const folder = await get();
  expect(folder).toBe(join(root, "models--someone--tiny", "snapshots", commit));
  expect((await readdir(folder)).toSorted()).toEqual(["config.json", "model.safetensors"]);
  expect(await readFile(join(folder, "model.safetensors"))).toEqual(weights);
  expect(await readFile(join(root, "models--someone--tiny", "refs", "main"), "utf8")).toBe(commit);
  const downloads = (): number => seen.filter(({ url }) => url.includes("/resolve/")).length;
  const before = downloads();
  expect(await get()).toBe(folder);
  expect(downloads()).toBe(before);
  await rm(join(folder, "config.json"));
  await get();
  expect(await readFile(join(folder, "config.json"))).toEqual(files["config.json"]);
});

it("tells its token to the hub alone", async () => {
  await get();
  expect(
    seen.filter(({ server }) => server === "hub").every(({ authorization }) => authorization === "Bearer hf_secret"),
  ).toBe(true);
  const elsewhere = seen.filter(({ server }) => server === "cdn");
  expect(elsewhere.length).toBeGreaterThan(0);
  expect(elsewhere.every(({ authorization }) => authorization === undefined)).toBe(true);
});

it("goes on where a broken connection left it", async () => {
  breakAfter = 100_000;
  await expect(get()).rejects.toMatchObject({ code: "HUB_CUT_OFF" });
  const blobs = join(root, "models--someone--tiny", "blobs");
  const { size } = await stat(join(blobs, `${sha256(weights)}.incomplete`));
  expect(size).toBeGreaterThan(0);
  await expect(pull(id, { cache: root, offline: true })).rejects.toMatchObject({ code: "HUB_OFFLINE" });
  seen = [];
  const folder = await get();
  expect(seen.find(({ server }) => server === "cdn")!.range).toBe(`bytes=${size}-`);
  expect(await readFile(join(folder, "model.safetensors"))).toEqual(weights);
  expect((await readdir(blobs)).filter((name) => name.endsWith(".incomplete"))).toEqual([]);
});

it("refuses bytes that are not what the hub's hash says, and keeps none of them", async () => {
  damaged = true;
  await expect(get()).rejects.toMatchObject({ code: "HUB_CHECKSUM" });
  expect(
    (await readdir(join(root, "models--someone--tiny", "blobs"))).filter((name) => name.startsWith(sha256(weights))),
  ).toEqual([]);
  damaged = false;
  await get();
});

it("works offline with what was pulled, and says so where nothing was", async () => {
  await expect(get({ offline: true })).rejects.toMatchObject({ code: "HUB_OFFLINE" });
  const folder = await get();
  seen = [];
  expect(await get({ offline: true })).toBe(folder);
  expect(await get({ offline: true, revision: commit })).toBe(folder);
  expect(seen).toEqual([]);
});

it("says what to do when the hub refuses, knows no such model, or is not there", async () => {
  vi.stubEnv("HF_TOKEN", "hf_wrong");
  await expect(get()).rejects.toMatchObject({
    code: "HUB_REFUSED",
    details: { fix: expect.stringContaining("HF_TOKEN") as string },
  });
  vi.stubEnv("HF_TOKEN", "hf_secret");
  await expect(pull("some/other", { cache: root, endpoint: address(hub) })).rejects.toMatchObject({
    code: "HUB_REFUSED",
    exitCode: 2,
  });
  await expect(get({ endpoint: "http://127.0.0.1:9" })).rejects.toMatchObject({ code: "HUB_UNREACHABLE" });
  await expect(pull("not-an-id", { cache: root })).rejects.toMatchObject({ code: "HUB_ID" });
  await expect(pull("../..", { cache: root })).rejects.toMatchObject({ code: "HUB_ID" });
});

it.each(["../../escape.json", "/etc/escape.json", "a\\b.json", "a/./config.json"])(
  "writes no file named %s",
  async (path) => {
    listed = () => [...tree(), { type: "file", path, size: 2, oid: gitSha1(Buffer.from("{}")) }];
    await expect(get()).rejects.toMatchObject({ code: "HUB_PATH" });
    expect(await readdir(root)).toEqual([]);
  },
);

it("takes single files by name", async () => {
  const folder = await get({ files: ["onnx/model.onnx"] });
  expect(await readdir(folder)).toEqual(["onnx"]);
  await expect(get({ files: ["none.json"] })).rejects.toMatchObject({ code: "HUB_FILES" });
});
