// Text by place: kept in memory while it is small, beyond that in a temporary file that vanishes with the process.
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeFailure } from "../../formats/node.ts";

/** Written at once, and so much of the end stays in memory. */
const BUFFER = 4 * 2 ** 20;
/** Read at once: rows that follow each other are read together. */
const AHEAD = 256 * 2 ** 10;

const open = new FinalizationRegistry<number>((file) => closeSync(file));

/** Grows at its end, is read anywhere. Throws `DISK_FULL` and what else `writeFailure` makes. */
export class Spool {
  #tail: Buffer = Buffer.allocUnsafe(0);
  #filled = 0;
  /** how much of it lies in the file, which is made when it is needed */
  #written = 0;
  #file: number | undefined;
  #ahead: Buffer = Buffer.allocUnsafe(0);
  #aheadAt = 0;

  /** Adds text; returns where it lies and how many bytes it has. */
  append(text: string): { offset: number; length: number } {
    const length = Buffer.byteLength(text);
    if (this.#filled + length > this.#tail.length) this.#makeRoom(length);
    const offset = this.#written + this.#filled;
    this.#filled += this.#tail.write(text, this.#filled);
    return { offset, length };
  }

  read(offset: number, length: number): string {
    if (offset >= this.#written) {
      const at = offset - this.#written;
      return this.#tail.toString("utf8", at, at + length);
    }
    if (offset < this.#aheadAt || offset + length > this.#aheadAt + this.#ahead.length) {
      this.#ahead = this.bytes(offset, Math.min(Math.max(AHEAD, length), this.#written - offset));
      this.#aheadAt = offset;
    }
    return this.#ahead.toString("utf8", offset - this.#aheadAt, offset - this.#aheadAt + length);
  }

  /** A copy of any part. */
  bytes(offset: number, length: number): Buffer {
    const found = Buffer.alloc(length);
    const filed = Math.max(0, Math.min(length, this.#written - offset));
    for (let done = 0; done < filed;) {
      done += readSync(this.#file as number, found, done, filed - done, offset + done);
    }
    const at = offset + filed - this.#written;
    if (filed < length) this.#tail.copy(found, filed, at, at + length - filed);
    return found;
  }

  #makeRoom(length: number): void {
    const wanted = this.#filled + length;
    if (wanted <= BUFFER) {
      const larger = Buffer.allocUnsafe(Math.min(BUFFER, Math.max(2 * wanted, 2 ** 16)));
      this.#tail.copy(larger, 0, 0, this.#filled);
      this.#tail = larger;
      return;
    }
    this.#flush();
    if (length > this.#tail.length) this.#tail = Buffer.allocUnsafe(Math.max(length, BUFFER));
  }

  #flush(): void {
    const folder = this.#file === undefined ? mkdtempSync(join(tmpdir(), "llava-source-")) : undefined;
    try {
      if (folder !== undefined) {
        this.#file = openSync(join(folder, "rows"), "wx+", 0o600);
        open.register(this, this.#file);
      }
      for (let done = 0; done < this.#filled;) {
        done += writeSync(this.#file as number, this.#tail, done, this.#filled - done, this.#written + done);
      }
    } catch (error) {
      throw writeFailure(folder ?? tmpdir(), error);
    } finally {
      // its name is not needed any more, and nothing is left after a kill; Windows keeps it until the process ends
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 0 });
    }
    this.#written += this.#filled;
    this.#filled = 0;
  }
}
