// In which part of the picture an object is: left, middle or right; and top or bottom where that is clear.
import { pictureWords, withHint, type Ask, type FactKind } from "../kind.ts";
import { be, capitalised } from "../names.ts";
import { uniqueObjects, type Box } from "../scene.ts";

interface Place {
  readonly name: string;
  readonly third: "left" | "middle" | "right";
}

const smallest = 0.005;
const hints = ["Answer with left, middle or right.", "Left, middle or right?", "One word: left, middle or right."];

export const place: FactKind<Place> = {
  alone: false,
  find({ scene }) {
    const found: Place[] = [];
    for (const { name, box } of uniqueObjects(scene, smallest)) {
      const third = thirdOf(box);
      if (third !== undefined) found.push({ name, third });
    }
    return found;
  },
  word(candidate, _context, random) {
    const style = random.float();
    if (style < 0.3) return exam(candidate);
    const { name, third } = candidate;
    const where = random.pick(pictureWords);
    const verb = be(name);
    const question = random.pick([
      `In which part of ${where} ${verb} the ${name}?`,
      `Where in ${where} ${verb} the ${name}?`,
      `Whereabouts ${verb} the ${name} in ${where}?`,
    ]);
    if (style < 0.6) return ask(name, withHint(question, hints, random), capitalised(third));
    const spot = third === "middle" ? `in the middle of ${where}` : `on the ${third} side of ${where}`;
    return ask(
      name,
      question,
      random.pick(
        [`The ${name} ${verb} ${spot}.`, `${capitalised(spot)}.`, `It is ${spot}.`].slice(0, verb === "is" ? 3 : 2),
      ),
    );
  },
  exam,
  balance: { share: 0.36, answer: ({ third }) => third },
};

/** The third that holds the box's centre clearly; undefined near the lines between, or when the box spans them. */
function thirdOf([x1, , x2]: Box): Place["third"] | undefined {
  const centre = (x1 + x2) / 2;
  const width = x2 - x1;
  if (width > 0.5) return undefined;
  if (centre < 0.29) return "left";
  if (centre > 0.71) return "right";
  return centre > 0.4 && centre < 0.6 && width < 0.4 ? "middle" : undefined;
}

function exam({ name, third }: Place): Ask {
  const question = `${capitalised(be(name))} the ${name} on the left, in the middle or on the right of the image? Answer with one word.`;
  return ask(name, question, capitalised(third));
}

function ask(name: string, question: string, answer: string): Ask {
  return { question, answer, reveals: [name] };
}
