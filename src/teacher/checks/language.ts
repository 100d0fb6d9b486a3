// Whether a text is English, by its letters and its commonest words; enough to notice a teacher that answers in another.

/** Words that few English sentences do without. */
const common = new Set(
  (
    "the a an is are was were of in on at to and or it its this that there with for from by as be has have he she they his her their " +
    "what how who where which why when do does can you no not yes some any one two i we them him but if would could may might " +
    "near next through while under over across beside behind along during into out up down each other another using wearing " +
    "man woman men women people person child boy girl picture photo group many several three white black red green blue"
  ).split(" "),
);

/** Fewer words tell nothing. */
const shortest = 10;
/** The share of common words in English captions and answers is about 0.4; other languages share a few by chance. */
const fewestCommon = 0.12;
const mostForeignLetters = 0.2;

/** Whether a text is surely not English: other letters than Latin ones, or hardly one of the commonest words. */
export function isForeign(text: string): boolean {
  const letters = text.match(/\p{L}/gu)?.length ?? 0;
  const latin = text.match(/\p{Script=Latin}/gu)?.length ?? 0;
  if (letters > 0 && (letters - latin) / letters > mostForeignLetters) return true;
  const words = text.toLowerCase().match(/[\p{L}']+/gu) ?? [];
  if (words.length < shortest) return false;
  return words.filter((word) => common.has(word)).length / words.length < fewestCommon;
}
