// ROUGE-L of a caption: the longest common subsequence with its references (Lin 2004), as pycocoevalcap weighs it.

/** recall counts this much more than precision, squared */
const BETA = 1.2;

/** The best precision and the best recall of any reference, joined; 0 to 1. */
export function rougeL(words: readonly string[], references: readonly (readonly string[])[]): number {
  // a caption of nothing is one empty word there
  const said = words.length === 0 ? [""] : words;
  const common = references.map((reference) => commonLength(said, reference.length === 0 ? [""] : reference));
  const precision = Math.max(...common.map((length) => length / said.length));
  const recall = Math.max(...common.map((length, i) => length / Math.max(1, references[i]!.length)));
  if (precision === 0 || recall === 0) return 0;
  return ((1 + BETA ** 2) * precision * recall) / (recall + BETA ** 2 * precision);
}

/** How long the longest sequence is that both contain in order. */
function commonLength(a: readonly string[], b: readonly string[]): number {
  let before = new Uint32Array(b.length + 1);
  for (const word of a) {
    const row = new Uint32Array(b.length + 1);
    for (const [j, other] of b.entries())
      row[j + 1] = word === other ? before[j]! + 1 : Math.max(before[j + 1]!, row[j]!);
    before = row;
  }
  return before[b.length]!;
}
