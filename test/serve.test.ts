// `llava serve` as people meet it: started from a shell, the guide's examples, keys and TLS from files, an end in order.
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeTinyLlava } from "./tiny-llava.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const main = join(root, "dist", "cli", "main.js");
let folder: string;
let model: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "serve-"));
  model = join(folder, "my-photos", "model");
  await writeTinyLlava(model);
  await mkdir(join(folder, "photos"));
  const photo = sharp({ create: { width: 48, height: 40, channels: 3, background: "#3a7" } });
  await photo.jpeg().toFile(join(folder, "photos", "garden.jpg"));
});
afterAll(() => rm(folder, { recursive: true }));

interface Started {
  readonly child: ChildProcess;
  readonly url: string;
  readonly models: readonly string[];
  /** what it has written to stderr so far */
  readonly log: () => string;
  readonly exit: Promise<number | null>;
}

async function start(...args: string[]): Promise<Started> {
  const child = spawn(process.execPath, [main, "serve", model, "--port", "0", "--json", ...args], { cwd: folder });
  let log = "";
  child.stderr.on("data", (data: Buffer) => (log += data.toString()));
  const exit = new Promise<number | null>((resolve) => child.on("exit", resolve));
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.once("data", (data: Buffer) => resolve(data.toString()));
    void exit.then(() => reject(new Error(log)));
  });
  return { child, log: () => log, exit, ...(JSON.parse(line) as { url: string; models: string[] }) };
}

/** The code blocks of a language in the guide's part about serving. */
async function examples(language: string): Promise<string[]> {
  const guide = await readFile(join(root, "docs", "guide.md"), "utf8");
  const part = /\n## Serving\n([\s\S]*?)\n## /.exec(guide)![1]!;
  return [...part.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, "g"))].map(([, code]) => code!);
}

describe("serving", () => {
  let server: Started;
  beforeAll(async () => {
    server = await start("--max-new-tokens", "16");
  });
  afterAll(() => void server.child.kill("SIGKILL"));

  const run = (file: string, args: readonly string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      execFile(file, args, { cwd: folder }, (error, stdout, stderr) => {
        if (error) reject(new Error(stderr, { cause: error }));
        else resolve(stdout);
      });
    });

  it("names a model after its run", () => {
    expect(server.models).toEqual(["my-photos"]);
  });

  // skipped where there is no curl
  it.skipIf(spawnSync("curl", ["--version"]).status !== 0)("answers the guide's curl examples", async () => {
    const commands = (await examples("sh")).filter((code) => code.startsWith("curl"));
    expect(commands.length).toBeGreaterThanOrEqual(2);
    for (const command of commands) {
      const output = await run("bash", ["-c", command.replaceAll("http://127.0.0.1:8080", server.url)]);
      expect(output).toMatch(/"object":\s*"(chat\.completion|response|list)|data: \[DONE\]/);
      expect(output).not.toContain('"error":{');
    }
  });

  it("answers the guide's clients", async () => {
    const programs = await examples("js");
    expect(programs).toHaveLength(2);
    for (const [i, program] of programs.entries()) {
      // packages are found from where a program lies
      const file = join(root, "node_modules", `.serve-example-${process.pid}-${i}.mjs`);
      await writeFile(file, program.replaceAll("http://127.0.0.1:8080", server.url));
      expect((await run(process.execPath, [file])).trim().length).toBeGreaterThan(0);
      await rm(file);
    }
  });

  it("finishes what it is at when told to end, and logs no prompt", async () => {
    const body = { messages: [{ role: "user", content: "my secret" }], max_tokens: 1500, stream: true };
    const headers = { "content-type": "application/json" };
    const post = { method: "POST", headers, body: JSON.stringify(body) };
    const response = await fetch(`${server.url}/v1/chat/completions`, post);
    const reading = response.text();
    server.child.kill("SIGTERM");
    expect((await reading).endsWith("data: [DONE]\n\n")).toBe(true);
    expect(await server.exit).toBe(0);
    const last = server
      .log()
      .split("\n")
      .findLast((line) => line.startsWith("{"));
    expect(JSON.parse(last!)).toMatchObject({
      event: "request",
      route: "/v1/chat/completions",
      status: 200,
      model: "my-photos",
      usage: { completion_tokens: 1500 },
    });
    expect(server.log()).not.toContain("secret");
  });
});

// skipped where there is no openssl to make a certificate with
it.skipIf(spawnSync("openssl", ["version"]).status !== 0)("takes keys and a certificate from files", async () => {
  const [cert, key, keys] = ["cert.pem", "key.pem", "keys"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext";
  const made = spawnSync("openssl", [...make.split(" "), "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]);
  expect(made.status).toBe(0);
  await writeFile(keys, "sk-a\nsk-b\n");
  const { child, url, exit } = await start("--tls-cert", cert, "--tls-key", key, "--key-file", keys);
  expect(url).toMatch(/^https:/);
  const ca = await readFile(cert);
  const status = (authorization: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const asked = request(`${url}/v1/models`, { ca, headers: { authorization }, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      asked.on("error", reject).end();
    });
  expect([await status("Bearer sk-b"), await status("Bearer sk-c")]).toEqual([200, 401]);
  child.kill("SIGINT");
  expect(await exit).toBe(0);
});

it("refuses what would be unsafe or cannot be, before a model is loaded", async () => {
  const taken = createServer();
  const port = await new Promise<number>((resolve) =>
    taken.listen(0, "127.0.0.1", () => resolve((taken.address() as { port: number }).port)),
  );
  const cases: [string[], RegExp, number][] = [
    [["--host", "0.0.0.0"], /^error\[SERVE_OPEN\]: /, 2],
    [["--tls-cert", "cert.pem"], /^error\[SERVE_TLS\]: /, 2],
    [["--key-env", "LLAVA_NO_SUCH_KEY"], /^error\[SERVE_KEYS\]: /, 2],
    [["--key-file", "nowhere"], /^error\[ENOENT\]: /, 1],
    [[`my-photos=${model}`], /^error\[SERVE_NAMES\]: /, 2],
    [["--port", "99999"], /^error\[USAGE\]: /, 2],
    [["--port", String(port)], /error\[EADDRINUSE\]: [^\n]+\n$/, 1],
  ];
  for (const [args, message, status] of cases) {
    const ended = spawnSync(process.execPath, [main, "serve", model, ...args], { cwd: folder, encoding: "utf8" });
    expect([args, ended.status, ended.stdout]).toEqual([args, status, ""]);
    expect(ended.stderr).toMatch(message);
  }
  taken.close();
});
