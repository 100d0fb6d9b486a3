// The command as a user's shell sees it: results alone on stdout, exit codes, closed pipes.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const llava = (...args: string[]) =>
  spawnSync(process.execPath, ["scripts/llava.mjs", ...args], { cwd: root, encoding: "utf8" });

// the first run builds
beforeAll(
  () => void execFileSync(process.execPath, ["scripts/llava.mjs", "--version"], { cwd: root, stdio: "ignore" }),
);

it("prints the result and nothing else", () => {
  expect(llava("--version")).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string,
    stderr: "",
  });
});

it("shows help for the program and each verb", () => {
  const { status, stdout } = llava("--help");
  expect(status).toBe(0);
  const verbs = [...stdout.matchAll(/^ {2}([a-z]+) (?!.*display help)/gm)].map(([, name]) => name!);
  expect(verbs).toContain("inspect");
  for (const verb of verbs) expect(llava(verb, "--help")).toMatchObject({ status: 0, stderr: "" });
});

it.each([
  [["inspct"], 2, /^error\[USAGE\]: unknown command 'inspct' \(did you mean inspect\?\)\n$/],
  [["inspect", "no/such/file"], 2, /^error\[INSPECT_NOTHING\]: expected .*, got nothing there \(no\/such\/file\)\n$/],
  [["inspect", "no/such/file", "--debug"], 2, /\n +at /],
  [[], 2, /^Usage: llava /],
])("%j ends with its code and one clear line", (args, status, message) => {
  const run = llava(...args);
  expect(run).toMatchObject({ status, stdout: "" });
  expect(run.stderr).toMatch(message);
});

it("ends quietly when the reader has seen enough", () => {
  const pipe = `"${process.execPath}" scripts/llava.mjs --help | head -1; echo "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = spawnSync("bash", ["-c", pipe], { cwd: root, encoding: "utf8" });
  expect(stderr).toBe("");
  expect(stdout).toMatch(/^Usage: llava .*\n0\n$/);
});

it("takes paths from where the user stands, also through npm", () => {
  const folder = mkdtempSync(join(tmpdir(), "cli-"));
  writeFileSync(join(folder, "a.json"), "[]");
  const args = ["--prefix", root, "run", "-s", "llava", "--", "data", "check", "a.json"];
  const { status, stderr } = spawnSync("npm", args, { cwd: folder, encoding: "utf8" });
  expect(stderr).toContain("error[SAMPLES_EMPTY]");
  expect(status).toBe(2);
  rmSync(folder, { recursive: true });
});

/** What the slow teacher says, each time something else: alike answers would be dropped. */
const descriptions = [
  "A dog stands near a grey road under a clear sky, and behind it runs a long wooden fence.",
  "Close to the edge of a quiet street, one brown animal waits and looks far ahead into the light.",
  "The picture shows an old dog which rests beside fresh asphalt while evening shadows grow longer.",
  "Dust rises where the road bends; a small dog walks slowly through it with its tail held high.",
  "Early in the morning a wet dog shakes itself next to the lane, drops of water flying everywhere.",
  "Nothing moves on this country road except for a playful puppy chasing its own tail in circles.",
  "Seen from above, the white line of the road leads past a sleeping dog towards distant green hills.",
  "With pricked ears and an open mouth the dog seems happy to have found some shade by the roadside.",
];

/** A teacher that takes its time for each answer. */
async function slowTeacher(asked: () => number): Promise<Server> {
  const server = createServer((request, response) => {
    const content = descriptions[asked() - 1];
    const reply = JSON.stringify({ choices: [{ message: { role: "assistant", content }, finish_reason: "stop" }] });
    request.resume().on("end", () => setTimeout(() => response.end(reply), 150));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

it.each(["SIGINT", "SIGTERM"] as const)("%s ends in order with 130, and the same command goes on", async (signal) => {
  const folder = mkdtempSync(join(tmpdir(), "cli-"));
  const rows = Array.from({ length: 8 }, (_, i) => `${i}.jpg,A dog near road ${i}.`);
  writeFileSync(join(folder, "captions.csv"), `file_name,caption\n${rows.join("\n")}\n`);
  for (const i of rows.keys()) writeFileSync(join(folder, `${i}.jpg`), "teachers do not look at pictures");
  let asked = 0;
  let child: ReturnType<typeof spawn> | undefined;
  const server = await slowTeacher(() => {
    if (++asked === 3) child?.kill(signal);
    return asked;
  });
  const out = join(folder, "out.json");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const args = [
    "teach",
    folder,
    "--out",
    out,
    "--teacher",
    url,
    "--model",
    "m",
    "--kinds",
    "detail",
    "--concurrency",
    "1",
  ];
  const run = async (): Promise<{ code: number | null; said: string }> => {
    const started = (child = spawn(process.execPath, ["scripts/llava.mjs", ...args], { cwd: root }));
    let said = "";
    started.stderr?.on("data", (chunk) => (said += String(chunk)));
    const code = await new Promise<number | null>((resolve) => started.on("close", resolve));
    return { code, said };
  };
  const first = await run();
  expect(first.said).toContain("the same command goes on");
  expect(first).toMatchObject({ code: 130 });
  expect(existsSync(out)).toBe(false);
  expect(asked).toBeLessThan(8);
  expect(await run()).toMatchObject({ code: 0 });
  expect(asked).toBe(8);
  expect(JSON.parse(readFileSync(out, "utf8"))).toHaveLength(8);
  server.close();
  rmSync(folder, { recursive: true });
});
