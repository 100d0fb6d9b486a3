// How LLaVA 1.5 asks for short answers and for options (arXiv 2310.03744 §3.2, docs/Evaluation.md of its repository).
import { InputError } from "../errors.ts";

export const shortAnswer = "Answer the question using a single word or phrase.";
export const optionLetter = "Answer with the option's letter from the given choices directly.";
export const oneSentence = "Provide a one-sentence caption for the provided image.";

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** The letter of an option by its place. Throws `QUESTION_OPTIONS` beyond Z. */
export function letterOf(place: number): string {
  const letter = letters[place];
  if (letter !== undefined) return letter;
  throw new InputError("QUESTION_OPTIONS", { expected: "at most 26 options", got: `${place + 1}` });
}

/** A question with its options, each on a line of its own, and what kind of answer is wanted. */
export function withOptions(question: string, options: readonly string[]): string {
  return [question, ...options.map((text, i) => `${letterOf(i)}. ${text}`), optionLetter].join("\n");
}
