// The trace of what was dropped: one line each beside the output, with its reason and the teacher's own words.
import { rm } from "node:fs/promises";
import { Spool } from "../data/sources/spool.ts";
import { writeFileAtomic } from "../formats/node.ts";

/** One answer, or one picture, that gave no sample. */
export interface Drop {
  readonly id: string;
  readonly image: string;
  readonly kind: string;
  readonly reason: string;
  /** the ledger's key of the answer; absent where nothing was asked */
  readonly request?: string;
  readonly text?: string;
}

/** Where the drops of an output lie. */
export function dropsPath(out: string): string {
  return `${out}.dropped.jsonl`;
}

/** Collects drops, and counts them by reason. */
export class Drops {
  readonly counts: Record<string, number> = {};
  readonly #spool = new Spool();
  #bytes = 0;

  add(drop: Drop): void {
    this.counts[drop.reason] = (this.counts[drop.reason] ?? 0) + 1;
    this.#bytes += this.#spool.append(`${JSON.stringify(drop)}\n`).length;
  }

  /** Writes all of them beside the output, or takes away what an earlier run left there. */
  async write(out: string): Promise<void> {
    if (this.#bytes === 0) await rm(dropsPath(out), { force: true });
    else await writeFileAtomic(dropsPath(out), { size: this.#bytes, chunks: this.#chunks() });
  }

  // oxlint-disable-next-line require-await -- what is written streams
  async *#chunks(): AsyncGenerator<Uint8Array> {
    const step = 2 ** 20;
    for (let at = 0; at < this.#bytes; at += step) yield this.#spool.bytes(at, Math.min(step, this.#bytes - at));
  }
}
