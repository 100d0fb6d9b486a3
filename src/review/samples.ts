// Samples under review: read once, shown by number, decided one by one; every decision is on disk before it is confirmed.
import { rm } from "node:fs/promises";
import { jsonItems } from "../data/json-items.ts";
import type { Sample } from "../data/sample.ts";
import { parseSample, sampleToJson, streamSamples, writeSamples } from "../data/samples.ts";
import { Spool } from "../data/sources/spool.ts";
import { isRecord, refused, shown } from "../data/untrusted.ts";
import { InputError } from "../errors.ts";
import { lockFile } from "../formats/lock-node.ts";
import { appendText, flushFile, writeFileAtomic } from "../formats/node.ts";

export const decisions = ["accepted", "edited", "rejected"] as const;
export type Decision = (typeof decisions)[number];

/** A sample as it is shown. */
export interface Reviewed {
  readonly place: number;
  readonly sample: Readonly<Record<string, unknown>>;
  readonly decision?: Decision;
}

export interface Review {
  readonly count: number;
  readonly decided: Readonly<Record<Decision, number>>;
  show(place: number): Reviewed;
  /** where the samples' pictures are, of one sample */
  images(place: number): readonly string[];
  /** resolves once the decision is on disk; `conversations` come with "edited". Throws as `parseSample`, `REVIEW_PLACE` */
  decide(place: number, decision: Decision, conversations?: unknown): Promise<void>;
  /** writes the samples back: without the rejected, which go to FILE.rejected.jsonl, with edits; the file changes as a whole */
  finish(): Promise<Readonly<Record<Decision, number>>>;
  close(): Promise<void>;
}

/** Decisions that are not yet written back. */
function logPath(file: string): string {
  return `${file}.review.jsonl`;
}

interface Entry {
  readonly decision: Decision;
  readonly id: string;
  readonly conversations?: unknown;
}

function lineOf([place, entry]: readonly [number, Entry]): string {
  return `${JSON.stringify({ place, ...entry })}\n`;
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
    return await load(file, unlock);
  } catch (error) {
    await unlock();
    throw error;
  }
}

async function load(file: string, unlock: () => Promise<void>): Promise<Review> {
  const spool = new Spool();
  const places: { offset: number; length: number }[] = [];
  for await (const sample of streamSamples(file)) places.push(spool.append(JSON.stringify(sampleToJson(sample))));
  const at = (place: number): Sample => {
    const found = places[place];
    if (found === undefined)
      throw refused("REVIEW_PLACE", `a sample from 0 to ${places.length - 1}`, String(place), file);
    return parseSample(JSON.parse(spool.read(found.offset, found.length)), `${file}, sample ${place + 1}`, place);
  };
  const entries = await readLog(file, at);
  const decided = { accepted: 0, edited: 0, rejected: 0 };
  for (const { decision } of entries.values()) decided[decision]++;
  const settled = (place: number): Sample => settle(at(place), entries.get(place));
  return {
    count: places.length,
    decided,
    show(place) {
      const decision = entries.get(place)?.decision;
      return { place, sample: sampleToJson(settled(place)), ...(decision === undefined ? {} : { decision }) };
    },
    images: (place) => at(place).images,
    async decide(place, decision, conversations) {
      const { id } = at(place);
      const entry: Entry = { decision, id, ...(decision === "edited" ? { conversations } : {}) };
      settle(at(place), entry);
      await appendText(logPath(file), lineOf([place, entry]));
      await flushFile(logPath(file));
      const before = entries.get(place);
      if (before !== undefined) decided[before.decision]--;
      decided[decision]++;
      entries.set(place, entry);
    },
    async finish() {
      const rejected: string[] = [];
      const kept = function* (): Generator<Sample> {
        for (let place = 0; place < places.length; place++) {
          if (entries.get(place)?.decision === "rejected") rejected.push(JSON.stringify(sampleToJson(at(place))));
          else yield settled(place);
        }
      };
      for (const _ of kept());
      // first what would be lost: a kill between the two shows a rejected sample twice, never not at all
      if (rejected.length > 0) await appendText(`${file}.rejected.jsonl`, `${rejected.join("\n")}\n`);
      await writeSamples(file, kept());
      await rm(logPath(file), { force: true });
      return decided;
    },
    close: unlock,
  };
}

/** The last decision about each sample; a line that a crash cut off was never confirmed. */
async function readLog(file: string, at: (place: number) => Sample): Promise<Map<number, Entry>> {
  const entries = new Map<number, Entry>();
  try {
    for await (const { value, line } of jsonItems(logPath(file))) {
      const where = `${logPath(file)}:${line}`;
      const { place, decision, id, conversations } = isRecord(value) ? value : {};
      const known = decisions.find((each) => each === decision);
      if (typeof place !== "number" || known === undefined || typeof id !== "string")
        throw refused("REVIEW_OTHER", "a decision", shown(value), where, "remove the file to begin anew");
      if (at(place).id !== id)
        throw refused("REVIEW_OTHER", `a decision about ${at(place).id}`, id, where, "remove the file to begin anew");
      entries.set(place, { decision: known, id, ...(conversations === undefined ? {} : { conversations }) });
    }
  } catch (error) {
    const code = error instanceof InputError ? error.code : "";
    if (code !== "JSON_INVALID" && code !== "FILE_MISSING") throw error;
    // what follows a torn line could not be read
    if (code === "JSON_INVALID") await writeFileAtomic(logPath(file), [...entries].map(lineOf).join(""));
  }
  return entries;
}

/** A sample with its decision noted, and edited turns checked. */
function settle(sample: Sample, entry: Entry | undefined): Sample {
  if (entry === undefined || entry.decision === "rejected") return sample;
  const turns = entry.decision === "edited" ? { conversations: entry.conversations } : {};
  return parseSample({ ...sampleToJson(sample), ...turns, review: entry.decision }, sample.where, 0);
}
