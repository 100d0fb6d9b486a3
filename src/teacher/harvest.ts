// Samples out of kept answers: judged anew, without repeats, in the order of the source; what is dropped leaves a trace.
import type { Sample, Turn } from "../data/sample.ts";
import type { Ledger } from "../endpoint/ledger.ts";
import { replyIn } from "../endpoint/wire.ts";
import { Repeats } from "./checks/repeats.ts";
import { Drops } from "./drops.ts";
import type { Askable, Skipped, TeacherRequest } from "./messages.ts";
import type { Accepted, Opinion } from "./opinions.ts";

export interface Tally {
  accepted: number;
  readonly drops: Drops;
  promptTokens: number;
  completionTokens: number;
}

/** An accepted conversation, with what opinions noted. */
export interface Kept extends Accepted {
  readonly extra: Readonly<Record<string, unknown>>;
}

/** Conversations that pass everything, as they are read, and the tally that grows meanwhile. */
export function acceptedOf(
  requests: AsyncIterable<TeacherRequest | Skipped>,
  ledger: Ledger,
  opinions: readonly Opinion[] = [],
  rows = Number.POSITIVE_INFINITY,
): AsyncIterable<Kept> & { readonly tally: Tally } {
  const tally: Tally = { accepted: 0, drops: new Drops(), promptTokens: 0, completionTokens: 0 };
  const repeats = new Repeats();
  const read = async function* (): AsyncGenerator<Kept> {
    for await (const request of requests) {
      if (tally.accepted >= rows) return;
      const { id, kind, picture } = request;
      const drop = { id, image: picture.image, kind: kind.name };
      if ("skipped" in request) {
        tally.drops.add({ ...drop, reason: request.skipped });
        continue;
      }
      const row = ledger.answer(request.key);
      if (row === undefined) continue;
      const reply = replyIn(row.body);
      count(tally, reply.usage);
      const kept = settle(request, reply, repeats, opinions, ledger, tally);
      if (typeof kept === "string")
        tally.drops.add({ ...drop, reason: kept, request: request.key, text: reply.refusal ?? reply.text });
      else {
        tally.accepted++;
        yield kept;
      }
    }
  };
  return { tally, [Symbol.asyncIterator]: read };
}

/** What is kept of an answer, or the reason why nothing is. */
function settle(
  request: TeacherRequest,
  reply: Accepted["reply"],
  repeats: Repeats,
  opinions: readonly Opinion[],
  ledger: Ledger,
  tally: Tally,
): Kept | string {
  const verdict = request.verdict(reply);
  if ("reason" in verdict) return verdict.reason;
  const accepted = { request, pairs: verdict.pairs, reply };
  if (repeats.seen(verdict.pairs.map(({ answer }) => answer).join("\n"))) return "near-duplicate";
  let extra = {};
  for (const opinion of opinions) {
    const found = opinion.find(accepted, ledger);
    count(tally, found.reply?.usage);
    if (found.reason !== undefined) return found.reason;
    extra = { ...extra, ...found.extra };
  }
  return { ...accepted, extra };
}

function count(tally: Tally, usage: Accepted["reply"]["usage"]): void {
  tally.promptTokens += usage?.promptTokens ?? 0;
  tally.completionTokens += usage?.completionTokens ?? 0;
}

/** The requests of an opinion about all accepted conversations. */
export async function* opinionRequests(accepted: AsyncIterable<Accepted>, opinion: Opinion): AsyncGenerator<Askable> {
  for await (const each of accepted) yield* opinion.requests(each);
}

/** As training reads it, with all that traces it. */
export function sampleOf({ request, pairs, reply, extra }: Kept, model: string): Sample {
  const { id, kind, picture, key } = request;
  const hint = kind.hint === undefined ? "" : `\n${kind.hint}`;
  const conversations = pairs.flatMap(({ question, answer }, i): Turn[] => [
    { from: "human", value: `${i === 0 ? "<image>\n" : ""}${question}${hint}` },
    { from: "gpt", value: answer },
  ]);
  const traced = { teacher: reply.model ?? model, kind: kind.name, prompt_version: kind.version, request: key };
  return { id, images: [picture.image], conversations, extra: { ...traced, ...extra }, where: id };
}
