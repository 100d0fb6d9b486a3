// A vote between two answers as a line of a file: who answered, and which answer a reader found better.
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { z } from "zod";
import { refused, shown } from "../../data/untrusted.ts";
import { openFile } from "../../formats/node.ts";

/** What a reader can say of two answers: one is better, they are alike, or neither is any good. */
export const votes = ["a", "b", "tie", "both_bad"] as const;

const contender = z.object({
  model: z.string(),
  /** what it was asked with besides the conversation, by the names of the API */
  settings: z.record(z.string(), z.union([z.number(), z.string()])).default({}),
  /** its system prompt, or what that hashes to */
  system: z.string().optional(),
});

const voteLine = z.object({
  time: z.iso.datetime(),
  vote: z.enum(votes),
  /** names were hidden until the vote */
  blind: z.boolean(),
  /** shown first, or at the left */
  a: contender,
  b: contender,
  /** what both were asked, as a hash: the same for the same words and pictures */
  conversation: z.string(),
});

export type Contender = z.infer<typeof contender>;
export type VoteLine = z.infer<typeof voteLine>;

/**
 * The votes of a file, and how many of its lines are torn: what a power cut or a full disk left of a vote that nobody
 * was told was kept. Throws `VOTE_SHAPE` where a line is something else, and as `openFile`.
 */
export async function readVotes(path: string): Promise<{ readonly votes: VoteLine[]; readonly torn: number }> {
  await (await openFile(path)).close();
  const [read, torn]: [VoteLine[], number[]] = [[], []];
  let at = 0;
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    at++;
    if (text.trim() === "") continue;
    const value = parsed(text);
    const line = voteLine.safeParse(value);
    if (line.success) read.push(line.data);
    else if (value === undefined) torn.push(at);
    else throw refused("VOTE_SHAPE", "a vote of llava serve", shown(value), `${path}:${at}`);
  }
  if (read.length > 0) return { votes: read, torn: torn.length };
  throw refused("VOTE_SHAPE", "at least one vote", torn.length > 0 ? "lines that are no JSON" : "none", path);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
