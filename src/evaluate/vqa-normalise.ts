// The VQA evaluation's normal form of answers (Antol et al. 2015, arXiv 1505.00468, §3), quirks included.

const numbers = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
const articles = new Set(["a", "an", "the"]);
const marks = [...`;/[]"{}()=+\\_-><@\`,?!`];

// each is found without any one of its apostrophes
const contracted = `ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't
he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't needn't
not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're
there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's
where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've y'all
y'all'd've y'all'll you'd you'd've you'll you're you've`;

const contractions = new Map([
  ...contracted.split(/\s+/).flatMap((word) => withoutOneApostrophe(word).map((bare) => [bare, word] as const)),
  // the list's own exception: this one loses its apostrophe
  ["somebody'd", "somebodyd"] as const,
]);

function withoutOneApostrophe(word: string): string[] {
  const places = [...word.matchAll(/'/g)].map(({ index }) => index);
  return places.map((at) => word.slice(0, at) + word.slice(at + 1));
}

/** As VQAv2's evaluation normalises an answer. */
export function normaliseVqa(text: string): string {
  return plainWords(plainMarks(text.replaceAll(/[\n\t]/g, " ").trim()));
}

/** As TextVQA's does (EvalAI's processor, in LLaVA's m4c_evaluator.py): commas and question marks go first, "'s" stands apart. */
export function normaliseEvalAi(text: string): string {
  const words = text.toLowerCase().replaceAll(/[,?]/g, "").replaceAll("'s", " 's").trim();
  return normaliseVqa(words);
}

/** A mark beside a space anywhere goes, another becomes a space; all go where a comma stands between digits. */
export function plainMarks(text: string): string {
  const numeral = /\p{Nd},+\p{Nd}/u.test(text);
  let plain = text;
  for (const mark of marks) {
    const goes = numeral || text.includes(`${mark} `) || text.includes(` ${mark}`);
    plain = plain.replaceAll(mark, goes ? "" : " ");
  }
  // a flag in the place of a count: no more than 32 points are removed
  let points = 0;
  return plain.replaceAll(/\.(?!\p{Nd})/gu, (point) => (points++ < 32 ? "" : point));
}

function plainWords(text: string): string {
  const words = text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  const counted = words.map((word) =>
    word === "none" ? "0" : numbers.includes(word) ? `${numbers.indexOf(word)}` : word,
  );
  return counted
    .filter((word) => !articles.has(word))
    .map((word) => contractions.get(word) ?? word)
    .join(" ");
}

/**
 * Agreement with people's answers, all in one form: the mean over leaving each out of min(1, how many of the others say
 * the same / 3).
 */
export function leaveOneOut(answer: string, answers: readonly string[]): number {
  const same = answers.filter((other) => other === answer).length;
  const credit = (count: number): number => Math.min(1, count / 3);
  const others = answers.length - same;
  return answers.length === 0 ? 0 : (same * credit(same - 1) + others * credit(same)) / answers.length;
}
