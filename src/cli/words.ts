// Splits a line into words as a shell does, so that quoted and dragged-in paths work.

/** Words separated by white space; quotes and backslashes keep white space inside a word. An open quote ends with the line. */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  const pattern = /(?:"(?:\\.|[^"\\])*"?|'[^']*'?|\\.|[^\s"'\\])+|\\$/gsu;
  for (const [word] of line.matchAll(pattern)) words.push(plain(word));
  return words;
}

/** A word without its quotes and backslashes. */
function plain(word: string): string {
  const parts = /"((?:\\.|[^"\\])*)"?|'([^']*)'?|\\(.)|([^"'\\]+)/gsu;
  return [...word.matchAll(parts)]
    .map(
      ([, double, single, escaped, bare]) => double?.replaceAll(/\\(["\\])/g, "$1") ?? single ?? escaped ?? bare ?? "",
    )
    .join("");
}
