// Samples under review: read once, shown by number, decided one by one; every decision is on disk before it is confirmed.
import { rm } from "node:fs/promises";
import type { Sample } from "../data/sample.ts";
import { parseSample, sampleToJson, streamSamples, writeSamples } from "../data/samples.ts";
import { Spool } from "../data/sources/spool.ts";
import { refused } from "../data/untrusted.ts";
import { lockFile } from "../formats/lock-node.ts";
import { appendText } from "../formats/node.ts";
import { type Decision, type Entry, logDecision, logPath, readDecisions } from "./decisions.ts";

/** A sample as it is shown. */
export interface Reviewed {
  readonly place: number;
  readonly sample: Readonly<Record<string, unknown>>;
  readonly decision?: Decision;
}

/** Which samples a reader wants to see; every one unless told. */
export interface Filter {
  /** the sample's `kind`; "" for those without one */
  readonly kind?: string | undefined;
  readonly decision?: Decision | "undecided" | undefined;
}

export interface Review {
  readonly count: number;
  /** how many samples have which `kind`, in the order of their first; "" for those without one */
  readonly kinds: ReadonlyMap<string, number>;
  readonly decided: Readonly<Record<Decision, number>>;
  show(place: number): Reviewed;
  /** the nearest place from `from` on, it included, forwards or backwards, that the filter lets through */
  find(from: number, step: 1 | -1, filter?: Filter): number | undefined;
  /** where the samples' pictures are, of one sample */
  images(place: number): readonly string[];
  /**
   * Resolves once the decision is on disk; `conversations` come with "edited". What was edited stays so when it is
   * accepted. Throws as `parseSample`, `REVIEW_PLACE`
   */
  decide(place: number, decision: Decision, conversations?: unknown): Promise<void>;
  /** takes a decision back, an edit with it; resolves once that is on disk */
  undo(place: number): Promise<void>;
  /** writes the samples back: without the rejected, which go to FILE.rejected.jsonl, with edits; the file changes as a whole */
  finish(): Promise<Readonly<Record<Decision, number>>>;
  close(): Promise<void>;
}

/**
 * Opens samples for review; decisions of an earlier, unfinished one go on.
 *
 * @throws InputError `REVIEW_BUSY`, `REVIEW_OTHER` where the earlier decisions are about other samples, and what
 *   `streamSamples` throws
 */
export async function openReview(file: string): Promise<Review> {
  const unlock = await lockFile(`${file}.lock`, { code: "REVIEW_BUSY", expected: "no other review of this file" });
  try {
    const samples = await spoolSamples(file);
    const entries = await readDecisions(file, (place) => samples.at(place).id);
    return new FileReview(file, samples, entries, unlock);
  } catch (error) {
    await unlock();
    throw error;
  }
}

interface Spooled {
  readonly count: number;
  /** the kind of each */
  readonly kinds: readonly string[];
  /** Throws `REVIEW_PLACE`. */
  at(place: number): Sample;
}

async function spoolSamples(file: string): Promise<Spooled> {
  const spool = new Spool();
  const places: { offset: number; length: number }[] = [];
  const kinds: string[] = [];
  for await (const sample of streamSamples(file)) {
    places.push(spool.append(JSON.stringify(sampleToJson(sample))));
    const { kind } = sample.extra;
    kinds.push(typeof kind === "string" ? kind : "");
  }
  const at = (place: number): Sample => {
    const found = places[place];
    if (found === undefined)
      throw refused("REVIEW_PLACE", `a sample from 0 to ${places.length - 1}`, String(place), file);
    return parseSample(JSON.parse(spool.read(found.offset, found.length)), `${file}, sample ${place + 1}`, place);
  };
  return { count: places.length, kinds, at };
}

class FileReview implements Review {
  readonly count: number;
  readonly kinds: ReadonlyMap<string, number>;
  readonly decided = { accepted: 0, edited: 0, rejected: 0 };
  readonly close: () => Promise<void>;
  readonly #file: string;
  readonly #samples: Spooled;
  readonly #entries: Map<number, Entry>;

  constructor(file: string, samples: Spooled, entries: Map<number, Entry>, close: () => Promise<void>) {
    this.#file = file;
    this.#samples = samples;
    this.#entries = entries;
    this.count = samples.count;
    this.close = close;
    const kinds = new Map<string, number>();
    for (const kind of samples.kinds) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    this.kinds = kinds;
    for (const { decision } of entries.values()) this.decided[decision]++;
  }

  show(place: number): Reviewed {
    const decision = this.#entries.get(place)?.decision;
    return { place, sample: sampleToJson(this.#settled(place)), ...(decision === undefined ? {} : { decision }) };
  }

  find(from: number, step: 1 | -1, { kind, decision }: Filter = {}): number | undefined {
    for (let place = from; place >= 0 && place < this.count; place += step) {
      if (kind !== undefined && this.#samples.kinds[place] !== kind) continue;
      if (decision === undefined || (this.#entries.get(place)?.decision ?? "undecided") === decision) return place;
    }
    return undefined;
  }

  images(place: number): readonly string[] {
    return this.#samples.at(place).images;
  }

  async decide(place: number, decision: Decision, conversations?: unknown): Promise<void> {
    const sample = this.#samples.at(place);
    if (decision === "accepted" && this.#entries.get(place)?.decision === "edited") return;
    const entry: Entry = { decision, id: sample.id, ...(decision === "edited" ? { conversations } : {}) };
    settle(sample, entry);
    await logDecision(this.#file, place, entry);
    this.#note(place, entry);
  }

  async undo(place: number): Promise<void> {
    const { id } = this.#samples.at(place);
    if (!this.#entries.has(place)) return;
    await logDecision(this.#file, place, { id });
    this.#note(place, undefined);
  }

  async finish(): Promise<Readonly<Record<Decision, number>>> {
    const rejected: string[] = [];
    for (let place = 0; place < this.count; place++) {
      if (this.#isRejected(place)) rejected.push(JSON.stringify(sampleToJson(this.#samples.at(place))));
    }
    // first what would be lost: a kill between the two shows a rejected sample twice, never not at all
    if (rejected.length > 0) await appendText(`${this.#file}.rejected.jsonl`, `${rejected.join("\n")}\n`);
    await writeSamples(this.#file, this.#kept());
    await rm(logPath(this.#file), { force: true });
    return this.decided;
  }

  *#kept(): Generator<Sample> {
    for (let place = 0; place < this.count; place++) if (!this.#isRejected(place)) yield this.#settled(place);
  }

  #isRejected(place: number): boolean {
    return this.#entries.get(place)?.decision === "rejected";
  }

  #settled(place: number): Sample {
    return settle(this.#samples.at(place), this.#entries.get(place));
  }

  #note(place: number, entry: Entry | undefined): void {
    const before = this.#entries.get(place);
    if (before !== undefined) this.decided[before.decision]--;
    if (entry === undefined) this.#entries.delete(place);
    else {
      this.decided[entry.decision]++;
      this.#entries.set(place, entry);
    }
  }
}

/** A sample with its decision noted, and edited turns checked. */
function settle(sample: Sample, entry: Entry | undefined): Sample {
  if (entry === undefined || entry.decision === "rejected") return sample;
  const turns = entry.decision === "edited" ? { conversations: entry.conversations } : {};
  return parseSample({ ...sampleToJson(sample), ...turns, review: entry.decision }, sample.where, 0);
}
