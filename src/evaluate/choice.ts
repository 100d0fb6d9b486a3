// Which option an answer names: a letter, or the text of one option.
import { letterOf } from "./prompts.ts";

/**
 * The letter that an answer chooses, undefined where it chooses none or several. In this order: the letter alone; a
 * letter with a mark behind it at the beginning ("B.", "(B)", "B: a cat"); one "answer is B"; the text of exactly one option.
 */
export function readChoice(answer: string, options: readonly string[]): string | undefined {
  const text = answer.trim();
  const known = (letter: string | undefined): string | undefined =>
    letter !== undefined && options.some((_, i) => letterOf(i) === letter) ? letter : undefined;
  const alone = /^\(?([A-Z])\)?[.:,)]?$/.exec(text)?.[1];
  const marked = /^(?:\(([A-Z])\)|([A-Z])[.:,)])\s/.exec(text);
  const said = [...text.matchAll(/\b[Aa]nswer is:? \(?([A-Z])\b/g)];
  const letter =
    known(alone) ?? known(marked?.[1] ?? marked?.[2]) ?? (said.length === 1 ? known(said[0]![1]) : undefined);
  if (letter !== undefined) return letter;
  const lower = text.toLowerCase();
  const within = options.flatMap((option, i) => (lower.includes(option.trim().toLowerCase()) ? [letterOf(i)] : []));
  return within.length === 1 ? within[0] : undefined;
}
