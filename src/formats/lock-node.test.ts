// Locks: a living holder keeps others out, a dead one does not, however it died.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { lockFile, refuseLocked } from "./lock-node.ts";
import { placeOfProcesses, startOf } from "./process-node.ts";

let folder: string;
let path: string;
const children: ChildProcess[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-lock-"));
  path = join(folder, ".lock");
});
afterEach(async () => {
  children.splice(0).forEach((child) => child.kill("SIGKILL"));
  await rm(folder, { recursive: true });
});

const subject = { code: "THING_BUSY", expected: "no other run" };
const take = (): Promise<() => Promise<void>> => lockFile(path, subject);
const refused = (got: unknown): object => ({ code: "THING_BUSY", exitCode: 2, details: { got, where: path } });

async function living(): Promise<{ pid: number; started?: string; child: ChildProcess }> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
  children.push(child);
  await once(child, "spawn");
  const started = await startOf(child.pid!);
  return { pid: child.pid!, ...(started === undefined ? {} : { started }), child };
}

it("keeps a second one out until it is released, and leaves nothing behind", async () => {
  const release = await take();
  await expect(take()).rejects.toMatchObject(refused(`process ${process.pid}`));
  await expect(refuseLocked(path, subject)).rejects.toMatchObject(refused(`process ${process.pid}`));
  await release();
  await refuseLocked(path, subject);
  await (
    await take()
  )();
  expect(await readdir(folder)).toEqual([]);
});

it("names a living process, and takes over once it is dead", async () => {
  const { child, ...holder } = await living();
  await writeFile(path, JSON.stringify({ ...holder, place: await placeOfProcesses() }));
  await expect(take()).rejects.toMatchObject({
    ...refused(`process ${holder.pid}`),
    message: expect.stringContaining(`kill ${holder.pid}`) as string,
  });
  child.kill("SIGKILL");
  await once(child, "exit");
  const release = await take();
  expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ pid: process.pid });
  await release();
  expect(await readdir(folder)).toEqual([]);
});

it.each([
  ["a number alone, of no process", () => "4194999\n"],
  ["nothing", () => ""],
  ["half a lock", () => '{"pid": 1'],
  ["this process's number, from an earlier life", () => JSON.stringify({ pid: process.pid })],
  ["a number that another process has now", () => JSON.stringify({ pid: process.ppid, started: "another boot 7" })],
])("takes over %s", async (_, content) => {
  await writeFile(path, content());
  await (
    await take()
  )();
});

it("believes a lock from elsewhere as long as it is touched", async () => {
  await writeFile(path, JSON.stringify({ pid: 2 ** 22 + 1, place: "tower pid:[7]" }));
  await expect(take()).rejects.toMatchObject(refused(`process ${2 ** 22 + 1} on tower`));
  const past = new Date(Date.now() - 61_000);
  await utimes(path, past, past);
  const release = await take();
  expect(await readFile(path, "utf8")).toContain(hostname());
  await release();
});

it("gives an abandoned lock to one of many", async () => {
  await writeFile(path, "4194999\n");
  const module = new URL("../../dist/formats/lock-node.js", import.meta.url).href;
  const script = `const { lockFile } = await import(${JSON.stringify(module)});
    await new Promise((go) => process.stdin.once("data", go));
    await lockFile(${JSON.stringify(path)}, { code: "B", expected: "" }).then(() => console.log("took"), (e) => console.log(e.code));`;
  const racers = Array.from({ length: 5 }, () => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "pipe" });
    children.push(child);
    return child;
  });
  racers.forEach(({ stdin }) => stdin.write("go\n"));
  const said = await Promise.all(racers.map(async ({ stdout }) => String((await once(stdout, "data"))[0]).trim()));
  expect(said.toSorted()).toEqual(["B", "B", "B", "B", "took"]);
});

it("says where no lock can be written", async () => {
  await expect(lockFile(join(folder, "none", "x"), subject)).rejects.toMatchObject({ code: "FILE_NOT_WRITABLE" });
});
