// Which process a number means: whether it lives, since when, and where numbers mean the same.
import { readFile, readlink } from "node:fs/promises";
import { hostname } from "node:os";

/** Whether a process of this number exists here; another user's does too. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** The boot and the tick at which a process began, which no later one shares (proc(5), field 22 of stat); Linux only. */
export async function startOf(pid: number): Promise<string | undefined> {
  try {
    const fields = (await readFile(`/proc/${pid}/stat`, "latin1")).replace(/^.*\) /s, "").split(" ");
    return `${(await readFile("/proc/sys/kernel/random/boot_id", "latin1")).trim()} ${fields[19]}`;
  } catch {
    return undefined;
  }
}

/** The host, or the container on it. */
export async function placeOfProcesses(): Promise<string> {
  return `${hostname()} ${await readlink("/proc/self/ns/pid").catch(() => "")}`.trim();
}
