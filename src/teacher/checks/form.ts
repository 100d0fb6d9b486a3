// Whether answers have the form that their kind promises: one word, yes or no in balance, a number, a denial.
import { numberFromWord } from "../facts/names.ts";
import type { QuestionAnswer } from "../parse.ts";

/** Forms of answers. */
export const answerForms = ["text", "short", "yes-no", "number", "denial"] as const;
export type AnswerForm = (typeof answerForms)[number];

export type FormReason = "answer form" | "yes/no balance" | "answer in question";

/** More words are a sentence. */
const mostWords = 5;

/** The reason to drop a conversation whose answers should have a form. */
export function checkForm(pairs: readonly QuestionAnswer[], form: AnswerForm): FormReason | undefined {
  if (!pairs.every(({ answer }) => matches[form](answer))) return "answer form";
  if (form === "short" && pairs.some(isInQuestion)) return "answer in question";
  if (form !== "yes-no") return undefined;
  const yes = pairs.filter(({ answer }) => polarity(answer) === "yes").length;
  // an odd number of questions cannot be halved
  return Math.abs(pairs.length - 2 * yes) > 1 ? "yes/no balance" : undefined;
}

/** "yes" or "no" where an answer begins with it. */
export function polarity(answer: string): "yes" | "no" | undefined {
  return /^(yes|no)\b/i.exec(answer.trim())?.[1]?.toLowerCase() as "yes" | "no" | undefined;
}

/** The number that an answer is, as "3", "three" or "Three." */
export function numberIn(answer: string): number | undefined {
  return numberFromWord(answer.trim().toLowerCase().replace(/\.$/, ""));
}

const matches: Readonly<Record<AnswerForm, (answer: string) => boolean>> = {
  text: () => true,
  short: (answer) => answer.split(/\s+/).length <= mostWords && !answer.includes("\n"),
  "yes-no": (answer) => polarity(answer) !== undefined,
  number: (answer) => numberIn(answer) !== undefined,
  denial: (answer) =>
    /\b(no|not|none|n't|nothing|nobody|neither|nowhere|without)\b|n't\b/i.test(answer) && polarity(answer) !== "yes",
};

/** A word that the question holds already, unless it offers a choice. */
function isInQuestion({ question, answer }: QuestionAnswer): boolean {
  const said = answer.toLowerCase().replace(/[^\p{L}\p{N} ]/gu, "");
  if (polarity(answer) !== undefined || numberIn(answer) !== undefined || /\bor\b/i.test(question)) return false;
  return ` ${question.toLowerCase().replace(/[^\p{L}\p{N} ]/gu, " ")} `.includes(` ${said} `);
}
