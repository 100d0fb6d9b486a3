// Learns a byte-level byte-pair vocabulary from texts and writes it as a Hugging Face tokenizer.
// Byte pairs: Sennrich et al. 2016, arXiv 1508.07909; over bytes: GPT-2 (Radford et al. 2019).

/** The control tokens of ChatML, at the ids 0, 1, 2. */
export const controls = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] as const;

/** How GPT-2 cuts text into words; a space belongs to the word after it. */
const wordPattern = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

interface Word {
  pieces: string[];
  readonly count: number;
}

export interface LearnedTokenizer {
  readonly tokenizerJson: object;
  readonly tokenizerConfig: object;
  /** by id, bytes as GPT-2's letters: "Ġ" stands for a space */
  readonly pieces: readonly string[];
}

/**
 * Merges the most frequent pair of neighbouring pieces until the vocabulary has `size` entries (controls and all 256
 * bytes included). Ties go to the pair that comes first in code-unit order, so that the result depends on nothing else.
 */
export function learnTokenizer(texts: Iterable<string>, size: number): LearnedTokenizer {
  const letters = byteLetters();
  const words = countWords(texts, letters);
  const vocabulary = [...controls, ...[...letters].sort()];
  const merges: [string, string][] = [];
  while (vocabulary.length < size) {
    const pair = mostFrequentPair(words);
    if (pair === undefined) break;
    merges.push(pair);
    vocabulary.push(pair.join(""));
    for (const word of words) mergeIn(word, pair);
  }
  return { tokenizerJson: tokenizerFile(vocabulary, merges), tokenizerConfig, pieces: vocabulary };
}

function countWords(texts: Iterable<string>, letters: readonly string[]): Word[] {
  const counts = new Map<string, number>();
  for (const text of texts)
    for (const [word] of text.matchAll(wordPattern)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const encoder = new TextEncoder();
  return [...counts].map(([word, count]) => ({
    pieces: [...encoder.encode(word)].map((byte) => letters[byte] ?? ""),
    count,
  }));
}

function mostFrequentPair(words: readonly Word[]): [string, string] | undefined {
  const counts = new Map<string, number>();
  for (const { pieces, count } of words) {
    for (let i = 0; i + 1 < pieces.length; i++) {
      const pair = `${pieces[i] ?? ""} ${pieces[i + 1] ?? ""}`;
      counts.set(pair, (counts.get(pair) ?? 0) + count);
    }
  }
  let best: string | undefined;
  let most = 1;
  for (const [pair, count] of counts) {
    if (count > most || (count === most && best !== undefined && pair < best)) [best, most] = [pair, count];
  }
  return best?.split(" ") as [string, string] | undefined;
}

function mergeIn(word: Word, [left, right]: readonly [string, string]): void {
  const merged: string[] = [];
  for (let i = 0; i < word.pieces.length; i++) {
    const both = word.pieces[i] === left && word.pieces[i + 1] === right;
    merged.push(both ? left + right : (word.pieces[i] ?? ""));
    if (both) i++;
  }
  word.pieces = merged;
}

/** GPT-2's printable letter for each byte: itself where it prints, else a letter from U+0100 on. */
function byteLetters(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCodePoint(prints ? byte : next++);
  });
}

function tokenizerFile(vocabulary: readonly string[], merges: readonly (readonly [string, string])[]): object {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: controls.map((content, id) => ({
      ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      ...{ type: "BPE", dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null },
      ...{ fuse_unk: false, byte_fallback: false, ignore_merges: false },
      vocab: Object.fromEntries(vocabulary.map((piece, id) => [piece, id])),
      merges,
    },
  };
}

const chatTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

const tokenizerConfig = {
  tokenizer_class: "PreTrainedTokenizerFast",
  add_prefix_space: false,
  bos_token: null,
  eos_token: "<|im_end|>",
  pad_token: "<|endoftext|>",
  unk_token: null,
  clean_up_tokenization_spaces: false,
  model_max_length: 1024,
  chat_template: chatTemplate,
};
