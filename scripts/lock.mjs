// Completes package-lock.json after `npm install`: some registries hold native packages for few platforms, and npm then
// leaves the others out of the lockfile, which makes `npm ci` refuse it everywhere. Their entries follow from their names.
import { readFileSync, writeFileSync } from "node:fs";

const path = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(path, "utf8"));

let added = 0;
for (const { optionalDependencies = {}, dev, engines } of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const place = `node_modules/${name}`;
    if (lock.packages[place] !== undefined) continue;
    const platform = platformOf(name);
    if (platform === undefined) throw new TypeError(`no platform in the name ${name}: add its entry by hand`);
    lock.packages[place] = { version, ...platform, ...(dev && { dev }), optional: true, ...(engines && { engines }) };
    added++;
  }
}
const [root, ...rest] = Object.entries(lock.packages);
lock.packages = Object.fromEntries([root, ...rest.sort(([a], [b]) => (a < b ? -1 : 1))]);
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added} entries added`);

/** "…-linux-arm-musleabihf" → os, cpu and libc as npm compares them. */
function platformOf(name) {
  const [, os, cpu, abi] = /-(android|darwin|freebsd|linux|openharmony|win32)-([a-z0-9]+)(?:-(\w+))?$/.exec(name) ?? [];
  if (os === undefined) return undefined;
  const libc = abi?.startsWith("gnu") ? "glibc" : abi?.startsWith("musl") ? "musl" : undefined;
  return { os: [os], cpu: [cpu], ...(os === "linux" && libc !== undefined && { libc: [libc] }) };
}
