// Whether an answer becomes data: computed anew from the kept answer, so that better rules apply to old answers too.
import { filterPairs, type FilterReason } from "./filters.ts";
import type { JournalAnswer } from "./journal.ts";
import type { TeacherKind } from "./kind.ts";
import { parseReply, type ParseReason, type QuestionAnswer } from "./parse.ts";

export type DropReason = ParseReason | FilterReason | "truncated" | "content filter";

/** Pairs of a good answer, or why it is dropped. */
export function judge(
  answer: Pick<JournalAnswer, "text" | "finish" | "refusal">,
  kind: Pick<TeacherKind, "reply">,
  question: string,
): { readonly pairs: readonly QuestionAnswer[] } | { readonly reason: DropReason } {
  if (answer.refusal !== undefined) return { reason: "refusal" };
  if (answer.finish === "content_filter") return { reason: "content filter" };
  if (answer.finish === "length") return { reason: "truncated" };
  const whole = filterPairs([{ question: "", answer: answer.text }]);
  // an apology or an error page has no layout either; its own reason says more
  if (whole === "refusal" || whole === "error text") return { reason: whole };
  const pairs = parseReply(answer.text, kind.reply, question);
  if (typeof pairs === "string") return { reason: pairs };
  const reason = filterPairs(pairs);
  return reason === undefined ? { pairs } : { reason };
}
