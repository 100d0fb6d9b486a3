// The options of `llava teach` and its verbs for a ledger that many workers share.
import type { Command } from "commander";
import { LlavaError } from "../errors.ts";
import { copyLedger, refuseForeign, usualName, withShared, type Meeting } from "../queue/shared.ts";

export interface QueueFlags {
  readonly queue?: string;
  readonly queueName?: string;
}

const name = "what workers share answers and budget under (default: the name of the output)";

/** Adds what `meetingOf` reads, for the verb that works. */
export function addQueueOptions(verb: Command): Command {
  return verb
    .option("--queue <url>", "endpoint: share the work with other workers at postgres://HOST/DATABASE")
    .option("--queue-name <name>", `endpoint: ${name}`);
}

/** The same for verbs that look at what was done. */
export function addSharedLedgerOptions(verb: Command): Command {
  return verb
    .option("--queue <url>", "look at the ledger that workers share there, and bring its copy up to date")
    .option("--queue-name <name>", name);
}

/** Where workers meet, if they do. */
export function meetingOf(out: string, { queue, queueName }: QueueFlags): Meeting | undefined {
  return queue === undefined ? undefined : { url: queue, name: queueName ?? usualName(out) };
}

/** Brings the copy of a shared ledger up to date. Throws what `withShared` throws, and `QUEUE_LEDGER`. */
export async function refreshCopy(meeting: Meeting, path: string): Promise<void> {
  await refuseForeign(path, meeting.name);
  await withShared(meeting, (ledger) => copyLedger(ledger, path));
}

/** The same before a first run: there may be nothing to copy yet. */
export async function refreshCopyIfAny(meeting: Meeting, path: string): Promise<void> {
  await refreshCopy(meeting, path).catch((error: unknown) => {
    if (!(error instanceof LlavaError) || error.code !== "QUEUE_NAME") throw error;
  });
}
