// One process at a time: a lock file that holds the process number, taken over when that process is gone.
import { readFile, rm, writeFile } from "node:fs/promises";
import { InputError } from "../errors.ts";

/** Takes the lock; the result releases it. Throws `TEACHER_BUSY` while another living process holds it. */
export async function lockFile(path: string): Promise<() => Promise<void>> {
  for (let tries = 0; ; tries++) {
    try {
      await writeFile(path, `${process.pid}\n`, { flag: "wx" });
      return () => rm(path, { force: true });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw unwritable(path, cause as NodeJS.ErrnoException);
    }
    const owner = Number.parseInt(await readFile(path, "utf8").catch(() => ""), 10);
    if (tries > 3 || isAlive(owner)) {
      const fix = `wait for it, or delete the file if no such process writes here`;
      throw new InputError("TEACHER_BUSY", {
        expected: "no other run with this output",
        got: `process ${owner}`,
        where: path,
        fix,
      });
    }
    await rm(path, { force: true });
  }
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
    expected: "a place for the teacher's journal",
    got,
    where: path,
    cause,
  });
}
