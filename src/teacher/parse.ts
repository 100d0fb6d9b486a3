// Reads a teacher's reply in the form that its kind asks for; repairs nothing, names what is wrong.
import type { ReplyForm } from "./kind.ts";

/** One question and its answer. */
export interface QuestionAnswer {
  readonly question: string;
  readonly answer: string;
}

/** Why a reply could not be read. */
export type ParseReason = "empty" | "layout" | "order" | "unanswered" | "not one pair";

/** The pairs of a reply, or the reason why there are none. `question` stands for the human in the form "answer". */
export function parseReply(text: string, form: ReplyForm, question: string): readonly QuestionAnswer[] | ParseReason {
  const reply = text.replaceAll("\r\n", "\n").trim();
  if (reply === "") return "empty";
  if (form === "answer") {
    return /^(={3,}|Question:|Answer:)/m.test(reply) ? "layout" : [{ question, answer: reply }];
  }
  const pairs = parseBlocks(reply);
  return form === "pair" && typeof pairs !== "string" && pairs.length !== 1 ? "not one pair" : pairs;
}

function parseBlocks(reply: string): readonly QuestionAnswer[] | ParseReason {
  const blocks = reply.split(/^={3,}[ \t]*$/m).map((block) => block.trim());
  // a closing mark after the last answer is part of the form
  if (blocks.at(-1) === "") blocks.pop();
  const texts: string[] = [];
  for (const [i, block] of blocks.entries()) {
    const found = /^(Question|Answer):\s*([\s\S]*)$/.exec(block);
    if (found === null) return "layout";
    const [, speaker, words = ""] = found;
    if (speaker !== (i % 2 === 0 ? "Question" : "Answer")) return "order";
    if (words === "") return "empty";
    // a second label inside means that a mark is missing
    if (/^(Question|Answer):/m.test(words)) return "layout";
    texts.push(words);
  }
  if (texts.length % 2 === 1) return "unanswered";
  return Array.from({ length: texts.length / 2 }, (_, i) => ({
    question: texts[2 * i] as string,
    answer: texts[2 * i + 1] as string,
  }));
}
