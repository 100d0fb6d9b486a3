// What can be seen: the objects of the picture, largest first.
import { pictureWords, withHint, type FactKind } from "../kind.ts";
import { capitalised, counted, listed, numberOf, plural } from "../names.ts";
import type { Group } from "../scene.ts";

const smallest = 0.004;
const most = 7;
const hints = ["Answer with a list of words.", "List them, separated by commas.", "Names only, please."];

export const list: FactKind<readonly Group[]> = {
  alone: true,
  find({ scene }) {
    const seen = [...scene.groups.values()].filter(({ area }) => area >= smallest).slice(0, most);
    return seen.length < 2 ? [] : [seen];
  },
  word(groups, _context, random) {
    const where = random.pick(pictureWords);
    const question = random.pick([
      `What objects can you see in ${where}?`,
      `Which objects are in ${where}?`,
      `What things are visible in ${where}?`,
      `List the objects in ${where}.`,
      `Name the things you can see in ${where}.`,
      `What is in ${where}?`,
    ]);
    const reveals = groups.map(({ name }) => name);
    if (random.chance(0.35)) {
      return { question: withHint(question, hints, random), answer: capitalised(reveals.join(", ")), reveals };
    }
    const things = listed(groups.map(amount));
    const answer = random.pick([
      `I can see ${things}.`,
      `${capitalised(where)} shows ${things}.`,
      `${capitalised(things)}.`,
      `There ${groups[0]?.boxes.length === 1 ? "is" : "are"} ${things} in ${where}.`,
    ]);
    return { question, answer, reveals };
  },
};

/** "a dog", "three dogs", or only "dogs" where the number cannot be trusted. */
export function amount({ name, boxes, countable }: Group): string {
  if (boxes.length === 1 || (countable && boxes.length <= 5)) return counted(name, boxes.length);
  return numberOf(name) === "mass" ? name : `several ${plural(name)}`;
}
