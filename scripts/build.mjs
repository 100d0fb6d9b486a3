// Builds dist/ from src/: tsc (incremental), then the files that are read at run time; quiet when all is well.
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  readFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const [src, dist] = [join(root, "src"), join(root, "dist")];
const stamp = join(dist, ".built");
const lock = join(root, "node_modules", ".llava-build");

/** True when something below src/ (or how it is built) is newer than dist/. */
export function isStale() {
  if (!existsSync(stamp)) return true;
  const built = statSync(stamp).mtimeMs;
  const inputs = [src, ...readdirSync(src, { recursive: true }).map((name) => join(src, name))];
  const settings = ["tsconfig.json", "tsconfig.build.json", "package-lock.json"].map((name) => join(root, name));
  return [...inputs, ...settings].some((path) => existsSync(path) && statSync(path).mtimeMs > built);
}

/** True where `npm ci` has put the compiler. */
export function isInstalled() {
  return existsSync(join(root, "node_modules", "typescript"));
}

/** Builds; returns the compiler's complaints ("" when there are none). One build at a time on one checkout. */
export function build() {
  return withLock(() => {
    const started = new Date();
    const cached = join(dist, ".tsbuildinfo");
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
    const args = [tsc, "-p", "tsconfig.build.json", "--incremental", "--tsBuildInfoFile", cached, "--pretty", "false"];
    const compiled = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
    if (compiled.error) throw compiled.error;
    dropOrphans();
    copyAssets();
    writeFileSync(stamp, `${started.toISOString()}\n`);
    return compiled.status === 0 ? "" : `${compiled.stdout}${compiled.stderr}`;
  });
}

function copyAssets() {
  for (const entry of readdirSync(src, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name.endsWith(".ts")) continue;
    const from = join(entry.parentPath, entry.name);
    const to = join(dist, from.slice(src.length));
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(from, to);
  }
}

/** Deletes what an earlier build left of sources that are gone. */
function dropOrphans() {
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name.startsWith(".")) continue;
    const path = join(entry.parentPath, entry.name);
    const origin = join(src, path.slice(dist.length)).replace(/(?:\.d\.ts|\.js)$/, ".ts");
    if (!existsSync(origin)) rmSync(path);
  }
}

/** Runs `work` while no other process builds here; a lock whose owner is gone is taken over. */
function withLock(work) {
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      if (!ownerLives()) rmSync(lock, { force: true });
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    }
  }
  try {
    return work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function ownerLives() {
  try {
    const owner = Number(readFileSync(lock, "utf8"));
    if (!Number.isInteger(owner) || owner <= 0) return Date.now() - statSync(lock).mtimeMs < 5_000;
    process.kill(owner, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const complaints = build();
  process.stderr.write(complaints);
  process.exitCode = complaints === "" ? 0 : 1;
}
