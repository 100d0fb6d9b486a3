// Whether an answer becomes data: computed anew from the kept answer, so that better rules apply to old answers too.
import type { ChatReply } from "../endpoint/wire.ts";
import { filterPairs, type FilterReason } from "./filters.ts";
import type { TeacherKind } from "./kind.ts";
import { parseReply, type ParseReason, type QuestionAnswer } from "./parse.ts";
import { parseStructured, type StructuredReason } from "./structured.ts";

export type DropReason = ParseReason | StructuredReason | FilterReason | "truncated" | "content filter";

/** Pairs of a good answer, or why it is dropped. */
export function judge(
  answer: Pick<ChatReply, "text" | "finishReason" | "refusal">,
  kind: Pick<TeacherKind, "reply">,
  question: string,
  structured = false,
): { readonly pairs: readonly QuestionAnswer[] } | { readonly reason: DropReason } {
  if (answer.refusal !== undefined) return { reason: "refusal" };
  if (answer.finishReason === "content_filter") return { reason: "content filter" };
  if (answer.finishReason === "length") return { reason: "truncated" };
  const whole = filterPairs([{ question: "", answer: answer.text }]);
  // an apology or an error page has no layout either; its own reason says more
  if (whole === "refusal" || whole === "error text") return { reason: whole };
  const pairs = (structured ? parseStructured : parseReply)(answer.text, kind.reply, question);
  if (typeof pairs === "string") return { reason: pairs };
  const reason = filterPairs(pairs);
  return reason === undefined ? { pairs } : { reason };
}
