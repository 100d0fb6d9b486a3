// How many of one kind of object: only where boxes and captions agree, the objects are large enough and few.
import { pictureWords, withHint, type Ask, type FactKind } from "../kind.ts";
import { capitalised, counted, numberOf, numberWord, plural } from "../names.ts";

interface Count {
  readonly name: string;
  readonly count: number;
}

/** Beyond five, annotators and models guess. */
const most = 5;

const hints = ["Answer with a number.", "Answer with a single number.", "Give just the number.", "One number, please."];

export const count: FactKind<Count> = {
  alone: false,
  find({ scene }) {
    const found: Count[] = [];
    for (const { name, boxes, countable } of scene.groups.values()) {
      if (countable && boxes.length <= most && numberOf(name) === "singular") found.push({ name, count: boxes.length });
    }
    return found;
  },
  word(candidate, _context, random) {
    const style = random.float();
    if (style < 0.25) return exam(candidate);
    const { name, count } = candidate;
    const where = random.pick(pictureWords);
    const many = plural(name);
    const question = random.pick([
      `How many ${many} are in ${where}?`,
      `How many ${many} are there in ${where}?`,
      `How many ${many} can you see in ${where}?`,
      `How many ${many} do you see?`,
      `How many ${many} are visible?`,
      `How many ${many} does ${where} show?`,
      `Count the ${many} in ${where}.`,
      `What is the number of ${many} in ${where}?`,
    ]);
    if (style < 0.6) return ask(name, withHint(question, hints, random), String(count));
    const verb = count === 1 ? "is" : "are";
    const one = count === 1 ? `one ${name}` : counted(name, count);
    return ask(
      name,
      question,
      random.pick([
        `There ${verb} ${one} in ${where}.`,
        `There ${verb} ${one}.`,
        `I can see ${one}.`,
        `${capitalised(one)}.`,
        `${capitalised(numberWord(count))}.`,
        `${capitalised(where)} shows ${one}.`,
      ]),
    );
  },
  exam,
  balance: { share: 0.34, answer: ({ count }) => String(count) },
};

function exam({ name, count }: Count): Ask {
  return ask(name, `How many ${plural(name)} are in the image? Answer with a number.`, String(count));
}

function ask(name: string, question: string, answer: string): Ask {
  return { question, answer, reveals: [name] };
}
