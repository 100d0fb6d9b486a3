// Whether an answer becomes data: computed anew from the kept answer, so that better rules apply to old answers too.
import type { CaptionedPicture } from "../data/sample.ts";
import type { ChatReply } from "../endpoint/wire.ts";
import { checkForm, type FormReason } from "./checks/form.ts";
import { checkGrounding, checkRegions, type GroundingReason } from "./checks/grounding.ts";
import { isForeign } from "./checks/language.ts";
import { checkText, type TextReason } from "./checks/text.ts";
import type { TeacherKind } from "./kind.ts";
import { parseReply, type ParseReason, type QuestionAnswer } from "./parse.ts";
import type { FactSheet } from "./sheet.ts";
import { parseStructured, type StructuredReason } from "./structured.ts";

export type DropReason =
  | ParseReason
  | StructuredReason
  | TextReason
  | FormReason
  | GroundingReason
  | "language"
  | "content filter";

/** What an answer is held against. */
export interface Given {
  readonly picture: CaptionedPicture;
  readonly sheet: FactSheet;
}

export interface JudgeOptions {
  readonly structured?: boolean | undefined;
  readonly given?: Given | undefined;
  /** the teacher saw the picture: it may name what neither captions nor boxes do */
  readonly sees?: boolean;
}

type Rules = Pick<TeacherKind, "reply" | "answer" | "language" | "boxesInQuestions">;

/** Pairs of a good answer, or why it is dropped. Without `given`, words alone are checked. */
export function judge(
  answer: Pick<ChatReply, "text" | "finishReason" | "refusal">,
  kind: Rules,
  question: string,
  { structured = false, given, sees = false }: JudgeOptions = {},
): { readonly pairs: readonly QuestionAnswer[] } | { readonly reason: DropReason } {
  if (answer.refusal !== undefined) return { reason: "refusal" };
  if (answer.finishReason === "content_filter") return { reason: "content filter" };
  if (answer.finishReason === "length") return { reason: "truncated" };
  const whole = checkText([{ question: "", answer: answer.text }]);
  // an apology or an error page has no layout either; its own reason says more
  if (whole === "refusal" || whole === "error text") return { reason: whole };
  const pairs = (structured ? parseStructured : parseReply)(answer.text, kind.reply, question);
  if (typeof pairs === "string") return { reason: pairs };
  const reason = checkPairs(pairs, kind, given, sees);
  return reason === undefined ? { pairs } : { reason };
}

function checkPairs(
  pairs: readonly QuestionAnswer[],
  kind: Rules,
  given: Given | undefined,
  sees: boolean,
): DropReason | undefined {
  const said = pairs.map(({ answer }) => answer).join("\n");
  if (kind.language === "en" && isForeign(said)) return "language";
  const reason = checkText(pairs, kind) ?? checkForm(pairs, kind.answer);
  if (reason !== undefined || given === undefined) return reason;
  const region = kind.boxesInQuestions ? checkRegions(pairs, given.picture) : undefined;
  return region ?? checkGrounding(pairs, kind.answer, given.sheet, sees);
}
