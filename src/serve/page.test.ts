// The page's files over a real socket: known paths alone, a strict policy on each, no key needed for them.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readPage } from "./page.ts";
import { openTinyServers, type TinyServers } from "./tiny-server.fixture.ts";

let tiny: TinyServers;
let url: string;
beforeAll(async () => {
  tiny = await openTinyServers();
  ({ url } = await tiny.start({ keys: ["sk-a"] }));
});
afterAll(() => tiny.end());

/** Asks for a path as it is written, which `fetch` would tidy up first. */
function status(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const asked = request({ hostname, port, path, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    });
    asked.on("error", reject).end();
  });
}

it("is served without a key, with a policy that lets nothing in", async () => {
  const response = await fetch(url);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  const html = await response.text();
  const files = [...html.matchAll(/(?:src|href)="\.(\/[^"]+)"/g)].map(([, path]) => path!);
  expect(files.length).toBeGreaterThanOrEqual(3);
  for (const path of files) {
    const file = await fetch(url + path);
    expect([path, file.status]).toEqual([path, 200]);
    expect(file.headers.get("content-security-policy")).toContain(
      "default-src 'none'; script-src 'self'; style-src 'self'",
    );
    expect(file.headers.get("x-content-type-options")).toBe("nosniff");
    if (path.startsWith("/assets/")) expect(file.headers.get("cache-control")).toContain("immutable");
  }
  // everything that answers still wants a key
  expect((await fetch(`${url}/v1/models`)).status).toBe(401);
  expect((await fetch(`${url}/v1/attention`, { method: "POST" })).status).toBe(401);
});

it("is sent once, and again only when it has changed", async () => {
  const tag = (await fetch(url)).headers.get("etag")!;
  const again = await fetch(url, { headers: { "if-none-match": tag } });
  expect([again.status, await again.text()]).toEqual([304, ""]);
});

it("has no way to other files", async () => {
  for (const path of [
    "/index.html",
    "/../package.json",
    "/assets/../../cli/main.js",
    "/%2e%2e/package.json",
    "//",
    "/licenses.md",
  ]) {
    expect([path, await status(path)]).toEqual([path, 401]);
  }
});

it("is what lies in its folder, by kind; none where it was not built", async () => {
  const folder = await mkdtemp(join(tmpdir(), "page-"));
  expect(readPage(folder).size).toBe(0);
  await mkdir(join(folder, "assets"));
  for (const name of ["index.html", "assets/a.js", "notes.md", ".secret"]) await writeFile(join(folder, name), name);
  expect([...readPage(folder).keys()].sort()).toEqual(["/", "/assets/a.js"]);
  await rm(folder, { recursive: true });
});
