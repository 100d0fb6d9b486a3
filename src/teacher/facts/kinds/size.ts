// Which of two objects covers more of the picture: only with a clear difference, each the only one of its name.
import { oneWordHints, pictureWords, withHint, type FactKind } from "../kind.ts";
import { be, capitalised } from "../names.ts";
import { areaOf, uniqueObjects } from "../scene.ts";

interface Size {
  readonly larger: string;
  readonly smaller: string;
}

const smallest = 0.005;
const clearly = 2.5;

export const size: FactKind<Size> = {
  alone: false,
  find({ scene }) {
    const objects = uniqueObjects(scene, smallest);
    const found: Size[] = [];
    for (const a of objects) {
      for (const b of objects) {
        if (areaOf(a.box) >= clearly * areaOf(b.box)) found.push({ larger: a.name, smaller: b.name });
      }
    }
    return found;
  },
  word({ larger, smaller }, _context, random) {
    const where = random.pick(pictureWords);
    const [first, second] = random.chance(0.5) ? [larger, smaller] : [smaller, larger];
    const reveals = [first, second];
    const style = random.float();
    if (style < 0.3) {
      const asked = random.pick(["larger", "smaller"]);
      const yes = (asked === "larger") === (first === larger);
      const question = `Does the ${first} look ${asked} than the ${second} in ${where}?`.replace(
        /^Does/,
        be(first) === "are" ? "Do" : "Does",
      );
      return { question, answer: yes ? "Yes" : "No", reveals };
    }
    const [asked, answer] = random.pick([
      ["takes up more of", larger],
      ["covers more of", larger],
      ["appears larger in", larger],
      ["appears smaller in", smaller],
      ["takes up less of", smaller],
    ] as const);
    const question = `Which ${asked} ${where}, the ${first} or the ${second}?`;
    if (style < 0.6)
      return { question: withHint(question, oneWordHints, random), answer: capitalised(answer), reveals };
    return { question, answer: `The ${answer}.`, reveals };
  },
};
