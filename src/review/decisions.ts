// The log of a review's decisions: one line each, flushed before it is confirmed; a crash loses none that was.
import { jsonItems } from "../data/json-items.ts";
import { isRecord, refused, shown } from "../data/untrusted.ts";
import { InputError } from "../errors.ts";
import { appendText, flushFile, writeFileAtomic } from "../formats/node.ts";

export const decisions = ["accepted", "edited", "rejected"] as const;
export type Decision = (typeof decisions)[number];

/** What was decided of a sample. */
export interface Entry {
  readonly decision: Decision;
  readonly id: string;
  /** the edited turns, as they came */
  readonly conversations?: unknown;
}

/** In the log: a decision was taken back. */
const takenBack = "undecided";

/** Decisions that are not yet written back to the samples' file. */
export function logPath(file: string): string {
  return `${file}.review.jsonl`;
}

/** Writes a decision about the sample at a place, or with only its id that there is none any more, and flushes it. */
export async function logDecision(file: string, place: number, entry: Entry | { readonly id: string }): Promise<void> {
  await appendText(logPath(file), lineOf(place, entry));
  await flushFile(logPath(file));
}

function lineOf(place: number, entry: Entry | { readonly id: string }): string {
  return `${JSON.stringify({ place, decision: takenBack, ...entry })}\n`;
}

/**
 * The last decision about each sample, by its place; a line that a crash cut off was never confirmed.
 *
 * @throws InputError `REVIEW_OTHER` where the decisions are about other samples
 */
export async function readDecisions(file: string, idAt: (place: number) => string): Promise<Map<number, Entry>> {
  const path = logPath(file);
  const entries = new Map<number, Entry>();
  const fix = "remove the file to begin anew";
  try {
    for await (const { value, line } of jsonItems(path)) {
      const where = `${path}:${line}`;
      const { place, decision, id, conversations } = isRecord(value) ? value : {};
      const known = decisions.find((each) => each === decision);
      if (typeof place !== "number" || typeof id !== "string" || (known === undefined && decision !== takenBack))
        throw refused("REVIEW_OTHER", "a decision", shown(value), where, fix);
      if (idAt(place) !== id) throw refused("REVIEW_OTHER", `a decision about ${idAt(place)}`, id, where, fix);
      if (known === undefined) entries.delete(place);
      else entries.set(place, { decision: known, id, ...(conversations === undefined ? {} : { conversations }) });
    }
  } catch (error) {
    const code = error instanceof InputError ? error.code : "";
    if (code !== "JSON_INVALID" && code !== "FILE_MISSING") throw error;
    // what follows a torn line could not be read
    if (code === "JSON_INVALID")
      await writeFileAtomic(path, [...entries].map(([place, entry]) => lineOf(place, entry)).join(""));
  }
  return entries;
}
