// MMBench: a question counts when it is answered in every order of its options (Liu et al. 2023, arXiv 2307.06281).
import { picturePath } from "../../data/picture-path.ts";
import { refused } from "../../data/untrusted.ts";
import { userTurn } from "../../generate/assistant.ts";
import { readChoice } from "../choice.ts";
import { letterOf, withOptions } from "../prompts.ts";
import { type Answered, groupsOf, type Question, share, type Sums, type Task } from "../task.ts";
import { cellOf, readTsv, tsvPictures, type TsvRow } from "../tsv.ts";

/** `accuracy`: right in every order (circular); `first`: right as first asked. */
type Figure = "accuracy" | "first";

/** official files number a question's further orders like this */
const ORDER = 1_000_000;

const isRight = ({ question: { options = [], label }, answer }: Answered): boolean =>
  readChoice(answer, options) === label;

export const mmbench: Task<Figure> = {
  name: "mmbench",
  files: "the official .tsv; pictures in it, or as INDEX.jpg",
  questions: readRows,
  pictures: tsvPictures,
  maxNewTokens: 128,
  grade: (each) => (isRight(each) ? 1 : 0),
  tally: (answered) => {
    const groups = groupsOf(answered);
    return answered.map((each): Sums => {
      const orders = groups.get(each.question.group)!;
      // a question counts with its first order
      if (orders[0] !== each) return { n: 0, every: 0, first: 0 };
      return { n: 1, every: orders.every(isRight) ? 1 : 0, first: isRight(each) ? 1 : 0 };
    });
  },
  figures: ({ n = 0, every = 0, first = 0 }) => ({ accuracy: share(every, n), first: share(first, n) }),
};

async function* readRows(path: string): AsyncGenerator<Question> {
  const rows = await readTsv(path, ["index", "question", "A", "B", "answer"]);
  // files for the leaderboard hold all orders as rows; others one, from which the others are made
  const hasOrders = rows.some(({ index }) => Number(index) >= ORDER);
  for (const row of rows) {
    const options = optionsOf(row);
    const place = options.findIndex((_, i) => letterOf(i) === row["answer"]?.trim());
    if (place < 0)
      throw refused("QUESTION_SHAPE", "an option's letter in the column answer", row["answer"]!, row.where);
    const orders = hasOrders ? 1 : options.length;
    for (let turned = 0; turned < orders; turned++) yield questionOf(row, options, place, turned);
  }
}

/** The options moved by `turned` places, letters staying where they are. */
function questionOf(row: TsvRow, given: readonly string[], place: number, turned: number): Question {
  const options = [...given.slice(turned), ...given.slice(0, turned)];
  const index = row["index"]!;
  const base = String(Number(index) % ORDER);
  const hint = cellOf(row, "hint");
  const words = hint === undefined ? row["question"]! : `${hint}\n${row["question"]!}`;
  const category = cellOf(row, "category");
  return {
    id: turned === 0 ? index : `${index}/${turned}`,
    images: [picturePath(`${base}.jpg`, row.where)],
    turn: userTurn(withOptions(words, options), 1),
    label: letterOf((place - turned + given.length) % given.length),
    options,
    group: base,
    ...(category !== undefined && { kinds: [category] }),
    where: row.where,
  };
}

function optionsOf(row: TsvRow): string[] {
  const options: string[] = [];
  for (let text = cellOf(row, "A"); text !== undefined; text = cellOf(row, letterOf(options.length)))
    options.push(text);
  return options;
}
