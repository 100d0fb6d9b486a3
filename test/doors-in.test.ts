// Models into the house as a user's shell sees it: LLaVA's own checkpoint, and a hub on this machine.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openLlava } from "../src/models/node.ts";
import { tinyFiles } from "../src/text/tokenizers.fixture.ts";
import { type Ended, project, runLlava } from "./process.ts";
import { weightsHash } from "./tiny-bases.ts";
import { writeTinyLlava } from "./tiny-export.ts";
import { writeTower } from "./tower.ts";

let root: string;
const at = (...names: string[]): string => join(root, ...names);
const llava = (args: readonly string[], env: Record<string, string> = {}): Promise<Ended> =>
  runLlava(args, { cwd: root, env });
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), "doors-"))));
afterAll(() => rm(root, { recursive: true }));

describe("llava import", () => {
  it("reads LLaVA's own checkpoint", async () => {
    const source = await openLlava(join(project, "test/golden/llava-tiny"));
    await writeTower(at("tower"), source);
    await source.close();
    const { tokenizer, config } = tinyFiles("pieces_always");
    await mkdir(at("pieces"));
    await writeFile(at("pieces", "tokenizer.json"), JSON.stringify(tokenizer));
    await writeFile(at("pieces", "tokenizer_config.json"), JSON.stringify(config));
    const args = ["import", join(project, "test/golden/original-tiny"), "--tokenizer", "pieces", "--out", "original"];
    expect(await llava([...args, "--vision", "nowhere"])).toMatchObject({ code: 2, stdout: "" });
    expect(existsSync(at("original"))).toBe(false);
    expect(await llava([...args, "--vision", "tower"])).toMatchObject({ code: 0, stdout: "original\n" });
    expect(await llava([...args, "--vision", "tower"])).toMatchObject({ code: 2 });
    expect(await llava([...args, "--vision", "tower", "--force"])).toMatchObject({ code: 0 });
    const seen = await llava(["inspect", "original", "--json"]);
    expect(seen).toMatchObject({ code: 0 });
  });
});

/** A hub with one model, `some/shades`: the files of a folder. */
async function openHub(folder: string): Promise<Server> {
  const commit = "0123456789abcdef0123456789abcdef01234567";
  const files = new Map<string, Buffer>();
  for (const name of await readdir(folder)) files.set(name, await readFile(join(folder, name)));
  const tree = [...files].map(([path, bytes]) => {
    const oid = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
    return { type: "file", path, size: bytes.length, oid };
  });
  const info = {
    _id: "1",
    id: "some/shades",
    modelId: "some/shades",
    sha: commit,
    private: false,
    downloads: 0,
    gated: false,
    likes: 0,
    lastModified: "2026-01-01",
  };
  const server = createServer(({ url = "" }, response) => {
    const json = (value: unknown): void =>
      void response.setHeader("content-type", "application/json").end(JSON.stringify(value));
    const file = files.get(decodeURIComponent(url.split(`/resolve/${commit}/`)[1] ?? ""));
    if (!url.includes("some/shades")) response.writeHead(404).end("{}");
    else if (url.includes("/tree/")) json(tree);
    else if (file !== undefined) response.end(file);
    else json(info);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

describe("llava pull", () => {
  let hub: Server;
  let env: Record<string, string>;
  beforeAll(async () => {
    await writeTinyLlava(at("shades"));
    hub = await openHub(at("shades"));
    env = { HF_ENDPOINT: `http://127.0.0.1:${(hub.address() as AddressInfo).port}`, HF_HOME: at("home"), HF_TOKEN: "" };
  });
  afterAll(() => {
    hub.closeAllConnections();
    hub.close();
  });

  it("prints a folder that is a model, with and without the network", async () => {
    const pulled = await llava(["pull", "some/shades"], env);
    expect(pulled).toMatchObject({ code: 0 });
    const folder = pulled.stdout.trim();
    expect(await weightsHash(folder)).toBe(await weightsHash(at("shades")));
    const offline = await llava(["pull", "some/shades", "--offline"], { ...env, HF_ENDPOINT: "http://127.0.0.1:9" });
    expect(offline).toMatchObject({ code: 0, stdout: pulled.stdout });
    expect(await llava(["inspect", folder])).toMatchObject({ code: 0 });
  });

  it("ends with 2 for what is not there, 1 for a hub out of reach", async () => {
    expect(await llava(["pull", "some/other"], env)).toMatchObject({ code: 2, stdout: "" });
    expect(await llava(["pull", "no id"], env)).toMatchObject({ code: 2, stdout: "" });
    const unreachable = await llava(["pull", "some/shades"], { ...env, HF_ENDPOINT: "http://127.0.0.1:9" });
    expect(unreachable).toMatchObject({ code: 1, stdout: "" });
  });
});
