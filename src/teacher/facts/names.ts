// Object names in sentences: plurals, articles, number words and agreement.

/** How a name behaves: "a dog", "skis" (only plural), "broccoli" (not counted). */
type Number = "singular" | "plural" | "mass";

const irregularPlurals: Readonly<Record<string, string>> = {
  person: "people",
  man: "men",
  woman: "women",
  child: "children",
  policeman: "policemen",
  policewoman: "policewomen",
  fireman: "firemen",
  snowman: "snowmen",
  fisherman: "fishermen",
  mouse: "mice",
  goose: "geese",
  foot: "feet",
  tooth: "teeth",
  ox: "oxen",
  sheep: "sheep",
  deer: "deer",
  fish: "fish",
  aircraft: "aircraft",
  knife: "knives",
  life: "lives",
  leaf: "leaves",
  loaf: "loaves",
  shelf: "shelves",
  bookshelf: "bookshelves",
  calf: "calves",
  wolf: "wolves",
  scarf: "scarves",
  potato: "potatoes",
  tomato: "tomatoes",
  mango: "mangoes",
  buffalo: "buffaloes",
};

const pluralOnly = new Set(
  "people men women children skis scissors pants trousers jeans shorts glasses sunglasses goggles headphones clothes stairs tongs pliers binoculars".split(
    " ",
  ),
);

const massNouns = new Set(
  "broccoli grass water sand snow rice bread food fruit furniture luggage hair ice sky smoke fog rain cheese meat salad soup milk juice beer wine sugar equipment clothing".split(
    " ",
  ),
);

/** Words on -s that are no plurals although they do not end on -ss, -us or -is. */
const singularOnS = new Set(["lens", "gas", "canvas", "atlas", "pancreas", "asparagus", "mattress"]);

const numberWords = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"] as const;

/** A name as questions write it: one space between words, no underscores; case is kept for acronyms only. */
export function cleanName(name: string): string {
  const plain = name.replace(/[_\s]+/g, " ").trim();
  return /^[A-Z0-9]{2,4}$/.test(plain) ? plain : plain.toLowerCase();
}

/** The plural of a name's last word: "hot dog" → "hot dogs", "person" → "people". */
export function plural(name: string): string {
  if (numberOf(name) !== "singular") return name;
  const cut = name.lastIndexOf(" ") + 1;
  const word = name.slice(cut);
  return name.slice(0, cut) + (irregularPlurals[word] ?? regularPlural(word));
}

function regularPlural(word: string): string {
  if (/[^aeiou]y$/.test(word)) return `${word.slice(0, -1)}ies`;
  if (/(s|x|z|ch|sh)$/.test(word)) return `${word}es`;
  return `${word}s`;
}

const numbers = new Map<string, Number>();

/** Whether a name is said in the singular, only in the plural, or without number. */
export function numberOf(name: string): Number {
  const known = numbers.get(name);
  if (known !== undefined) return known;
  const word = name.slice(name.lastIndexOf(" ") + 1);
  const found = classify(word);
  // data sets hold few names, but captions and files are the user's: keep the memory bounded
  if (numbers.size < 100_000) numbers.set(name, found);
  return found;
}

function classify(word: string): Number {
  if (massNouns.has(word)) return "mass";
  if (pluralOnly.has(word)) return "plural";
  const endsOnS = word.length > 3 && word.endsWith("s") && !/(ss|us|is)$/.test(word);
  return endsOnS && !singularOnS.has(word) ? "plural" : "singular";
}

/** "a" or "an", by the sound that the word most likely begins with. */
function article(name: string): "a" | "an" {
  if (/^(uni|use|usu|eu|one\b|ufo)/i.test(name)) return "a";
  if (/^(hour|honest|heir)/i.test(name)) return "an";
  if (/^[AEFHILMNORSX][A-Z0-9]+$/.test(name)) return "an";
  return /^[aeiou]/i.test(name) ? "an" : "a";
}

/** In a statement that names one or some: "a dog", "skis", "some broccoli". */
export function some(name: string): string {
  const number = numberOf(name);
  if (number === "singular") return `${article(name)} ${name}`;
  return number === "mass" ? `some ${name}` : name;
}

/** In a question: "a dog", "any skis", "any broccoli". */
export function any(name: string): string {
  return numberOf(name) === "singular" ? `${article(name)} ${name}` : `any ${name}`;
}

/** The verb for one mention of a name: "is" or "are". */
export function be(name: string): "is" | "are" {
  return numberOf(name) === "plural" ? "are" : "is";
}

/** 3 → "three"; digits from eleven on. */
export function numberWord(count: number): string {
  return numberWords[count] ?? String(count);
}

/** The number that a word states: "three" or "3" → 3; undefined for other words. */
export function numberFromWord(word: string): number | undefined {
  if (/^\d{1,3}$/.test(word)) return Number(word);
  const index = numberWords.indexOf(word as (typeof numberWords)[number]);
  return index < 0 ? undefined : index;
}

/** "a dog" for one, "three dogs" for more, as a statement says it. */
export function counted(name: string, count: number): string {
  return count === 1 || numberOf(name) !== "singular" ? some(name) : `${numberWord(count)} ${plural(name)}`;
}

/** "a", "a and b", "a, b and c". */
export function listed(items: readonly string[]): string {
  if (items.length < 2) return items.join("");
  return `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}

/** First letter upper case. */
export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
