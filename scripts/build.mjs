// Builds dist/ from src/ and web/: tsc (incremental), the files that are read at run time, the page; quiet when all is well.
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  readFileSync,
} from "node:fs";
import { dirname, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const [src, dist] = [join(root, "src"), join(root, "dist")];
const stamp = join(dist, ".built");
const [pageSource, page, nextPage] = [join(root, "web"), join(dist, "web"), join(dist, ".web")];
const settings = ["tsconfig.json", "tsconfig.build.json", "package-lock.json"].map((name) => join(root, name));
const lock = join(root, "node_modules", ".llava-build");

/** True when something below src/ or web/ (or how it is built) is newer than dist/. */
export function isStale() {
  return isNewer([src, pageSource], stamp);
}

/** True when something in the folders, or how they are built, is newer than a built file, or that is missing. */
function isNewer(folders, built) {
  if (!existsSync(built)) return true;
  const then = statSync(built).mtimeMs;
  const inputs = folders.flatMap((from) => [
    from,
    ...readdirSync(from, { recursive: true }).map((name) => join(from, name)),
  ]);
  return [...inputs, ...settings].some((path) => existsSync(path) && statSync(path).mtimeMs > then);
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
    const complaints = buildPage();
    writeFileSync(stamp, `${started.toISOString()}\n`);
    return `${compiled.status === 0 ? "" : `${compiled.stdout}${compiled.stderr}`}${complaints}`;
  });
}

/** Builds the page beside the old one, which it then replaces; nothing where it is as new as its sources. */
function buildPage() {
  if (!isNewer([pageSource], join(page, "index.html"))) return "";
  const vite = join(root, "node_modules", "vite", "bin", "vite.js");
  const args = [vite, "build", pageSource, "--outDir", nextPage, "--emptyOutDir", "--logLevel", "warn"];
  // the same files whatever the environment: tests would get React's development build
  const env = { ...process.env, NODE_ENV: "production" };
  const built = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8", env });
  if (built.error) throw built.error;
  if (built.status !== 0) return `${built.stdout}${built.stderr}`;
  rmSync(page, { recursive: true, force: true });
  renameSync(nextPage, page);
  return "";
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
    if (path.startsWith(page + sep) || path.startsWith(nextPage + sep)) continue;
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
