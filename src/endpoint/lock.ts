// One process at a time: a lock file that holds the process number, taken over when that process is gone.
import { readFile, rm, writeFile } from "node:fs/promises";
import { InputError } from "../errors.ts";

const settleMs = 50;

/** Takes the lock; the result releases it. Throws `LEDGER_BUSY` while another living process holds it. */
export async function lockFile(path: string): Promise<() => Promise<void>> {
  for (let tries = 0; ; tries++) {
    try {
      await writeFile(path, `${process.pid}\n`, { flag: "wx" });
      // another may have found the same dead owner and taken this lock for its leftover
      if (tries > 0) await new Promise((resolve) => setTimeout(resolve, settleMs));
      if (tries === 0 || (await ownerOf(path)) === process.pid) return () => rm(path, { force: true });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw unwritable(path, cause as NodeJS.ErrnoException);
    }
    const owner = await ownerOf(path);
    if (tries > 3 || isAlive(owner)) {
      const fix = `wait for it, or delete the file if no such process writes here`;
      throw new InputError("LEDGER_BUSY", {
        expected: "no other run with this output",
        got: `process ${owner}`,
        where: path,
        fix,
      });
    }
    await rm(path, { force: true });
  }
}

async function ownerOf(path: string): Promise<number> {
  return Number.parseInt(await readFile(path, "utf8").catch(() => ""), 10);
}

function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

function unwritable(path: string, cause: NodeJS.ErrnoException): InputError {
  const got = cause.code ?? cause.message;
  return new InputError("FILE_NOT_WRITABLE", {
    expected: "a place for the ledger",
    got,
    where: path,
    cause,
  });
}
