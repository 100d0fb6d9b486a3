// Words of a caption as the COCO evaluation splits them: Penn Treebank's tokens in small letters, without punctuation.

/** tokens that the COCO evaluation leaves out (pycocoevalcap, tokenizer/ptbtokenizer.py), and quotes, which become such */
const left = new Set([..."'`\".?!,:-;“”„‘’–—", "''", "``", "--", "..."]);

/** The evaluation leaves brackets out by names in capitals, but all is in small letters by then: they stay, named. */
const brackets: Readonly<Record<string, string>> = {
  "(": "-lrb-",
  ")": "-rrb-",
  "[": "-lsb-",
  "]": "-rsb-",
  "{": "-lcb-",
  "}": "-rcb-",
};

/** words that are one piece to the eye and two to the treebank */
const parted: Readonly<Record<string, string>> = {
  cannot: "can not",
  gonna: "gon na",
  gotta: "got ta",
  lemme: "lem me",
  gimme: "gim me",
  wanna: "wan na",
};

const clitic = /(?<=[\p{L}\p{N}])(n['’]t|['’](?:s|m|d|ll|re|ve))$/u;

const tokens = [
  // marks that belong together
  /\.{3}|--+/u,
  // U.S., p.m.; abbreviations; 'n'; '90s
  /(?:\p{L}\.){2,}|(?:Mr|Mrs|Ms|Dr|St|Ft|Jr|Sr|vs)\.|['’]n['’]|['’]\d\ds/u,
  // 5:54; then other numbers, 2nd and 1950s among them
  /\d+(?::\d+)+|\d+(?:[.,/-]\d+)*(?:st|nd|rd|th|s)?(?![\p{L}\p{N}]|['’]\p{L})/u,
  // black-and-white, and/or, dog's
  /[\p{L}\p{N}]+(?:[-&/][\p{L}\p{N}]+|['’.]\p{L}[\p{L}\p{N}]*)*/u,
  /\S/u,
];
const token = new RegExp(tokens.map(({ source }) => source).join("|"), "giu");

/**
 * The words of a caption. It agrees with Stanford's tokenizer on ordinary captions, which is what the score needs, and
 * does not aim at its rules for addresses, fractions, emoticons or abbreviations.
 */
export function captionWords(caption: string): string[] {
  const found = caption.replaceAll("\n", " ").match(token) ?? [];
  return found.flatMap(pieces).filter((word) => !left.has(word));
}

function pieces(found: string): string[] {
  const word = brackets[found] ?? found.toLowerCase().replaceAll("’", "'");
  if (Object.hasOwn(parted, word)) return parted[word]!.split(" ");
  const end = clitic.exec(word)?.[0];
  return end === undefined ? [word] : [word.slice(0, -end.length), end];
}
