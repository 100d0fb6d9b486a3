// CIDEr-D of captions: clipped n-gram agreement weighted by rarity (Vedantam et al. 2015, arXiv 1411.5726, §5), as pycocoevalcap.
import { countNgrams } from "./ngrams.ts";

const LONGEST = 4;
/** of the penalty on lengths that differ, in words */
const SIGMA = 6;

export interface Captioned {
  readonly words: readonly string[];
  readonly references: readonly (readonly string[])[];
}

interface Weighted {
  /** by length of the n-gram */
  readonly vectors: readonly ReadonlyMap<string, number>[];
  readonly norms: readonly number[];
  /** in pairs of words, as the original counts */
  readonly length: number;
}

/** One score a caption, 0 to 10; rarity is what the references of all say. */
export function cider(captions: readonly Captioned[]): number[] {
  const documents = new Map<string, number>();
  for (const { references } of captions)
    for (const ngram of new Set(
      references.flatMap((words) => [...allNgrams(words).flatMap((counts) => [...counts.keys()])]),
    ))
      documents.set(ngram, (documents.get(ngram) ?? 0) + 1);
  const weigh = (words: readonly string[]): Weighted => weighted(words, documents, Math.log(captions.length));
  return captions.map(({ words, references }) => {
    const said = weigh(words);
    const sums = references.map((reference) => similarity(said, weigh(reference)));
    return (10 * sums.reduce((sum, one) => sum + one, 0)) / (LONGEST * references.length);
  });
}

function allNgrams(words: readonly string[]): Map<string, number>[] {
  return Array.from({ length: LONGEST }, (_, i) => countNgrams(words, i + 1));
}

function weighted(words: readonly string[], documents: ReadonlyMap<string, number>, logCount: number): Weighted {
  const vectors = allNgrams(words).map((counts) => {
    const rarity = (ngram: string): number => logCount - Math.log(Math.max(1, documents.get(ngram) ?? 0));
    return new Map([...counts].map(([ngram, count]) => [ngram, count * rarity(ngram)]));
  });
  const norms = vectors.map((vector) => Math.sqrt([...vector.values()].reduce((sum, weight) => sum + weight ** 2, 0)));
  return { vectors, norms, length: Math.max(0, words.length - 1) };
}

/** Cosines of each length of n-gram, clipped to the reference's weights, summed. */
function similarity(said: Weighted, reference: Weighted): number {
  let sum = 0;
  for (let n = 0; n < LONGEST; n++) {
    let product = 0;
    for (const [ngram, weight] of said.vectors[n]!) {
      const other = reference.vectors[n]!.get(ngram) ?? 0;
      product += Math.min(weight, other) * other;
    }
    const norm = said.norms[n]! * reference.norms[n]!;
    sum += norm === 0 ? product : product / norm;
  }
  return sum * Math.exp(-((said.length - reference.length) ** 2) / (2 * SIGMA ** 2));
}
