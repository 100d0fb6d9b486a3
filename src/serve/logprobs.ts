// Log probabilities in OpenAI's form: of each token that was chosen, and of those most likely in its place.
import { logNormaliser } from "../generate/sampling.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

interface TokenLogprob {
  readonly token: string;
  /** of the model itself, before temperature */
  readonly logprob: number;
  /** UTF-8 of the token; null for a part of a character */
  readonly bytes: readonly number[] | null;
}

export interface ChosenLogprob extends TokenLogprob {
  readonly top_logprobs: readonly TokenLogprob[];
}

/** stands for a probability of 0, as JSON has no infinity (OpenAI's own number) */
const least = -9999;

/** Of a token chosen from logits [V], with the `top` most likely ones, likeliest first. */
export function chosenLogprob(tokenizer: Tokenizer, id: number, logits: Float32Array, top: number): ChosenLogprob {
  const total = logNormaliser(logits);
  const describe = (token: number): TokenLogprob => {
    const text = tokenizer.decode([token]);
    const bytes = text.includes("\uFFFD") ? null : [...new TextEncoder().encode(text)];
    return { token: text, logprob: Math.max(least, logits[token]! - total), bytes };
  };
  return { ...describe(id), top_logprobs: likeliest(logits, top).map(describe) };
}

/** Ids of the `count` largest logits, lower ids first among equals. */
function likeliest(logits: Float32Array, count: number): number[] {
  const best: number[] = [];
  if (count === 0) return best;
  for (let id = 0; id < logits.length; id++) {
    if (best.length === count && logits[id]! <= logits[best.at(-1)!]!) continue;
    const place = best.findIndex((other) => logits[other]! < logits[id]!);
    best.splice(place < 0 ? best.length : place, 0, id);
    if (best.length > count) best.pop();
  }
  return best;
}
