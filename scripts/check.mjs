// Every check that is not a test, each with its time: types, lint, format, laws, dead code, generated files.
import { spawnSync } from "node:child_process";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const bin = (name) => resolve(root, "node_modules", ".bin", name);
const script = (name, ...args) => [process.execPath, resolve(root, "scripts", name), ...args];

const checks = [
  ["types", [bin("tsc"), "-p", "tsconfig.json", "--pretty", "false"]],
  ["page types", [bin("tsc"), "-p", "web/tsconfig.json", "--pretty", "false"]],
  ["lint", [bin("oxlint"), "--deny-warnings"]],
  ["format", [bin("oxfmt"), "--check"]],
  ["laws", script("laws.mjs")],
  ["docs", script("docs.mjs", "--check")],
  ["dead code", [bin("knip"), "--no-progress"]],
];

let failed = 0;
for (const [name, [command, ...args]] of checks) {
  const started = performance.now();
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const ok = status === 0;
  if (!ok) failed++;
  console.log(`${ok ? "ok  " : "FAIL"}  ${name.padEnd(10)} ${seconds.padStart(5)} s`);
  if (!ok) console.log(`${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}`.trimEnd().replace(/^/gm, "      "));
}
console.log(`Checks  ${checks.length - failed} passed | ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
