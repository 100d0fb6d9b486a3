// BLEU-1 to 4 over a corpus, with the reference nearest in length (Papineni et al. 2002), as pycocoevalcap computes it.
import { type Sums } from "../task.ts";
import { countNgrams } from "./ngrams.ts";

const LONGEST = 4;
// pycocoevalcap's, so that nothing is divided by nought
const [TINY, SMALL] = [1e-15, 1e-9];

/** What a caption adds to a corpus' BLEU: matched and made n-grams, its length and its reference's. */
export function bleuSums(words: readonly string[], references: readonly (readonly string[])[]): Sums {
  const sums: Record<string, number> = { length: words.length, reference: nearest(words.length, references) };
  for (let n = 1; n <= LONGEST; n++) {
    const most = new Map<string, number>();
    for (const reference of references)
      for (const [ngram, count] of countNgrams(reference, n)) most.set(ngram, Math.max(count, most.get(ngram) ?? 0));
    let matched = 0;
    for (const [ngram, count] of countNgrams(words, n)) matched += Math.min(count, most.get(ngram) ?? 0);
    sums[`matched${n}`] = matched;
    sums[`made${n}`] = Math.max(0, words.length - n + 1);
  }
  return sums;
}

/** BLEU-n of summed counts. */
export function bleuOf(sums: Sums, n: number): number {
  const of = (name: string): number => sums[name] ?? 0;
  let product = 1;
  for (let k = 1; k <= n; k++) product *= (of(`matched${k}`) + TINY) / (of(`made${k}`) + SMALL);
  const ratio = (of("length") + TINY) / (of("reference") + SMALL);
  return product ** (1 / n) * (ratio < 1 ? Math.exp(1 - 1 / ratio) : 1);
}

/** The nearest length of a reference, the shorter of two as near. */
function nearest(length: number, references: readonly (readonly string[])[]): number {
  const lengths = references.map((words) => words.length).sort((a, b) => a - b);
  return lengths.reduce((best, other) => (Math.abs(other - length) < Math.abs(best - length) ? other : best));
}
