// New tokens: added to the tokenizer, with embedding rows of their own.
import type { LanguageConfig } from "../models/config.ts";
import { embeddingName } from "../models/llama.ts";
import type { TokenizerFiles } from "../models/node.ts";
import type { PartWeights } from "../models/weights.ts";
import { createTokenizer, type Tokenizer } from "../text/tokenizer.ts";

/** A language model's rows and the tokens that they stand for. */
export interface Vocabulary {
  readonly config: LanguageConfig;
  readonly weights: PartWeights;
  readonly tokenizer: Tokenizer;
  readonly tokenizerFiles: TokenizerFiles;
}

/**
 * Adds tokens that the tokenizer lacks. Their embedding rows (and output rows) start at the mean of the others, as
 * LLaVA's do; the number of rows is rounded up to 64 as transformers does.
 */
export function addTokens(
  files: TokenizerFiles,
  { config, weights }: Pick<Vocabulary, "config" | "weights">,
  tokens: readonly string[],
): Vocabulary {
  const before = createTokenizer(files);
  const wanted = tokens.filter((token) => !isOneToken(before, token));
  if (wanted.length === 0) return { config, weights, tokenizer: before, tokenizerFiles: files };
  const { tokenizer, tokenizerJson, tokenizerConfig } = before.withAdded(wanted);
  const fresh = { from: Math.min(before.vocabSize, config.vocabSize), to: tokenizer.vocabSize };
  const vocabSize = fresh.to <= config.vocabSize ? config.vocabSize : Math.ceil(fresh.to / 64) * 64;
  const hasRows = (name: string): boolean => name === embeddingName || name === "lm_head.weight";
  const shapes = new Map(
    [...weights.shapes].map(([name, shape]) => [name, hasRows(name) ? [vocabSize, config.hiddenSize] : shape]),
  );
  const load = async (name: string): Promise<Float32Array> => {
    const rows = await weights.load(name);
    return hasRows(name) ? withMeanRows(rows, config, vocabSize, fresh) : rows;
  };
  return {
    config: { ...config, vocabSize },
    weights: { shapes, load, ...(weights.blocks && { blocks: weights.blocks }) },
    tokenizer,
    tokenizerFiles: { ...files, tokenizerJson, tokenizerConfig },
  };
}

/** Words that text becomes as they are, and those that no text becomes, are told by what comes back. */
function isOneToken(tokenizer: Tokenizer, text: string): boolean {
  const ids = tokenizer.encode(text, "inText");
  return ids.length === 1 && tokenizer.decode(ids) === text;
}

/** Rows `from` … `to - 1`, and those beyond the model's own, at the mean of the rows before; others as they were. */
function withMeanRows(
  rows: Float32Array,
  { vocabSize, hiddenSize }: LanguageConfig,
  wanted: number,
  { from, to }: { readonly from: number; readonly to: number },
): Float32Array {
  const all = new Float32Array(wanted * hiddenSize);
  all.set(rows);
  const mean = new Float64Array(hiddenSize);
  for (let i = 0; i < from * hiddenSize; i++) mean[i % hiddenSize]! += rows[i]! / from;
  for (let row = from; row < wanted; row++) if (row < to || row >= vocabSize) all.set(mean, row * hiddenSize);
  return all;
}
