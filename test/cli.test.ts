// The command as a user's shell sees it: results alone on stdout, exit codes, closed pipes.
import { execFileSync, spawnSync } from "node:child_process";
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
