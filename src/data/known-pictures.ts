// Remembers which picture files decoded to their end, so that the next start need not decode them again.
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { LlavaError } from "../errors.ts";
import { makeFolder, openFile, writeFileAtomic } from "../formats/node.ts";
import { pictureCheckKey } from "../image/node.ts";

/** Bytes of a digest that stands for one state of one file. */
const MARK = 16;
const MAGIC = Buffer.from("LLVPIC01", "latin1");
const HEAD = MAGIC.length + 32;
/** Marks that are kept; 32 MiB. */
const MOST = 2 ** 21;
/** A file that changed less than so many milliseconds ago may change again within one tick of its folder's clock. */
const SETTLED = 2000;

/** Picture files that were found whole by this version of the check, by path, device, inode, size and times. */
export class KnownPictures {
  readonly #path: string;
  readonly #known: Set<string>;
  readonly #seen = new Set<string>();
  #grown = false;

  private constructor(path: string, known: Set<string>) {
    this.#path = path;
    this.#known = known;
  }

  /** Reads what `folder` remembers; nothing where there is nothing, or something damaged. */
  static async open(folder: string): Promise<KnownPictures> {
    const path = join(folder, "whole-pictures.bin");
    return new KnownPictures(path, await readMarks(path));
  }

  /** The mark of a file as it is now; undefined for what is no settled file. */
  async markOf(path: string): Promise<string | undefined> {
    const status = await stat(path, { bigint: true }).catch(() => undefined);
    if (status?.isFile() !== true) return undefined;
    const { dev, ino, size, mtimeNs, ctimeNs, ctimeMs } = status;
    if (Date.now() - Number(ctimeMs) < SETTLED) return undefined;
    const state = [pictureCheckKey, path, dev, ino, size, mtimeNs, ctimeNs].join("\n");
    return createHash("sha256").update(state).digest().subarray(0, MARK).toString("latin1");
  }

  has(mark: string): boolean {
    const known = this.#known.has(mark);
    if (known) this.#seen.add(mark);
    return known;
  }

  add(mark: string): void {
    this.#seen.add(mark);
    this.#grown = true;
  }

  /** Writes what was added. A folder that can't be written costs the next start its time, and is no reason to stop. */
  async save(): Promise<void> {
    if (!this.#grown) return;
    const marks = [...new Set([...this.#seen, ...this.#known])].slice(0, MOST);
    const body = Buffer.from(marks.join(""), "latin1");
    try {
      await makeFolder(join(this.#path, ".."));
      await writeFileAtomic(this.#path, Buffer.concat([MAGIC, digestOf(body), body]));
    } catch (error) {
      if (!(error instanceof LlavaError)) throw error;
    }
  }
}

const digestOf = (body: Uint8Array): Buffer => createHash("sha256").update(body).digest();

async function readMarks(path: string): Promise<Set<string>> {
  const file = await openFile(path).catch(() => undefined);
  const marks = new Set<string>();
  if (file === undefined) return marks;
  try {
    if (file.size < HEAD || file.size > HEAD + MOST * MARK || (file.size - HEAD) % MARK !== 0) return marks;
    const bytes = Buffer.from(await file.read(0, file.size));
    const body = bytes.subarray(HEAD);
    if (!bytes.subarray(0, HEAD).equals(Buffer.concat([MAGIC, digestOf(body)]))) return marks;
    for (let at = 0; at < body.length; at += MARK) marks.add(body.toString("latin1", at, at + MARK));
    return marks;
  } catch (error) {
    if (error instanceof LlavaError) return marks;
    throw error;
  } finally {
    await file.close();
  }
}
