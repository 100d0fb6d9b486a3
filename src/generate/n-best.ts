// Several answers to one question, computed together and put in order by how likely the model finds them.
import { InputError } from "../errors.ts";
import type { ChatTurn } from "../text/conversation.ts";
import { type Answer, answerChoices, type AnswerOptions, type Assistant, type Picture } from "./assistant.ts";
import { logNormaliser } from "./sampling.ts";
import type { SamplingOptions } from "./sampling-options.ts";

export interface RankedAnswer extends Answer {
  /** mean log probability of its tokens under the model itself, before temperature */
  readonly logprob: number;
}

export interface ManyOptions extends Omit<AnswerOptions, "onText" | "onChoice" | "constraint"> {
  readonly n: number;
  /** what holds each answer to a grammar */
  readonly constraint?: (() => AnswerOptions["constraint"]) | undefined;
}

/** The seeds of `n` answers to one question. */
export function choiceSeeds(seed: number, n: number): number[] {
  return Array.from({ length: n }, (_, i) => seed + i);
}

/** Throws `SAMPLING_OPTION` for several answers that would all be the same. */
export function checkMany(n: number, { temperature = 0 }: SamplingOptions): void {
  if (n === 1 || temperature > 0) return;
  const fix = "give a temperature, such as 0.7";
  const expected = "a temperature above 0 with more than one answer";
  throw new InputError("SAMPLING_OPTION", { expected, got: String(temperature), where: "temperature", fix });
}

/**
 * `n` answers with seeds side by side, the likeliest first. Throws as `answerTurns` and `checkMany`.
 */
export async function bestAnswers(
  assistant: Assistant,
  turns: readonly ChatTurn[],
  pictures: readonly Picture[],
  { n, constraint, ...options }: ManyOptions,
): Promise<RankedAnswer[]> {
  checkMany(n, options);
  const sums = Array.from({ length: n }, () => 0);
  const choices = choiceSeeds(options.seed ?? 0, n).map((seed, i): AnswerOptions => ({
    ...options,
    seed,
    constraint: constraint?.(),
    onChoice: (id, logits) => void (sums[i]! += logits[id]! - logNormaliser(logits)),
  }));
  const answers = await answerChoices(assistant, turns, pictures, choices);
  const ranked = answers.map((answer, i) => ({ ...answer, logprob: sums[i]! / Math.max(1, answer.completion_tokens) }));
  return ranked.sort((a, b) => b.logprob - a.logprob);
}
