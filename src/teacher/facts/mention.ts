// Where captions speak of objects: an index of every word for every name, and the finds in one caption.
import { isPunctuation } from "./caption.ts";
import { numberFromWord, numberOf, plural } from "./names.ts";
import { synonymsOf } from "./synonyms.ts";

/** One find: caption words start … end - 1 may speak of `name`. */
export interface Mention extends Entry {
  readonly start: number;
  readonly end: number;
}

interface Entry {
  readonly name: string;
  /** the words denote the object; otherwise they only make its absence doubtful */
  readonly sure: boolean;
  /** the name itself or its plural, not a narrower word such as "man" for "person" */
  readonly exact: boolean;
  readonly plural: boolean;
}

/** Every phrase of up to three words that may speak of a name. */
export interface MentionIndex {
  readonly phrases: ReadonlyMap<string, readonly Entry[]>;
  /** first words of the phrases that have more than one */
  readonly openings: ReadonlySet<string>;
}

const longestPhrase = 3;

/** The index over all names of a source. */
export function indexMentions(names: Iterable<string>): MentionIndex {
  const phrases = new Map<string, Entry[]>();
  const add = (phrase: string, entry: Entry): void => {
    const entries = phrases.get(phrase);
    if (entries === undefined) phrases.set(phrase, [entry]);
    else if (!entries.some((other) => other.name === entry.name)) entries.push(entry);
  };
  const addForms = (word: string, name: string, sure: boolean, exact: boolean): void => {
    const only = numberOf(word) !== "singular";
    add(word, { name, sure, exact, plural: only && numberOf(word) === "plural" });
    if (!only) add(plural(word), { name, sure, exact, plural: true });
  };
  for (const name of names) {
    const lower = name.toLowerCase();
    addForms(lower, name, true, true);
    if (lower.includes(" ")) addForms(lower.replaceAll(" ", ""), name, true, true);
    const { same, maybe } = synonymsOf(lower);
    for (const word of same) addForms(word, name, true, false);
    for (const word of maybe) addForms(word, name, false, false);
    // the head of "wine glass" alone may mean it
    if (lower.includes(" ")) addForms(lower.slice(lower.lastIndexOf(" ") + 1), name, false, false);
  }
  const several = [...phrases.keys()].filter((phrase) => phrase.includes(" "));
  return { phrases, openings: new Set(several.map((phrase) => phrase.slice(0, phrase.indexOf(" ")))) };
}

/** All mentions in a caption's words. */
export function findMentions(words: readonly string[], { phrases, openings }: MentionIndex): Mention[] {
  const found: Mention[] = [];
  for (const [start, first] of words.entries()) {
    const most = openings.has(first) ? Math.min(start + longestPhrase, words.length) : start + 1;
    let phrase = first;
    for (let end = start + 1; ; phrase += ` ${words[end++] as string}`) {
      for (const { name, sure, exact, plural } of phrases.get(phrase) ?? []) {
        found.push({ name, sure, exact, plural, start, end });
      }
      if (end >= most) break;
    }
  }
  return found;
}

const vague = new Set(
  "several many some multiple various lots lot group groups bunch crowd herd flock row rows pile piles stack stacks few numerous dozens hundreds different other more extra both all each every another array variety assortment set full line lines collection".split(
    " ",
  ),
);

/** What the words before a mention say of its number: a number, "vague", or nothing. */
export function statedCount(words: readonly string[], mention: Mention): number | "vague" | undefined {
  for (let at = mention.start - 1; at >= Math.max(0, mention.start - 4); at--) {
    const word = words[at] as string;
    if (isPunctuation(word) || word === "and" || word === "with") return undefined;
    if (vague.has(word)) return "vague";
    if (word === "couple" || word === "pair") return 2;
    if (word === "trio") return 3;
    const number = numberFromWord(word);
    if (number !== undefined) return number;
    // "two men with a dog": the article says that the number before belongs to another noun
    if (word === "a" || word === "an" || word === "the") return undefined;
  }
  return undefined;
}
