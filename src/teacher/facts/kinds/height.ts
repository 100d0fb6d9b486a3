// Above or below each other in the picture: pairs of objects with a clear gap, each the only one of its name.
import { oneWordHints, pictureWords, withHint, type FactKind } from "../kind.ts";
import { be, capitalised } from "../names.ts";
import { uniqueObjects } from "../scene.ts";

interface Height {
  readonly upper: string;
  readonly lower: string;
}

/** Centres must be this share of the height apart, and the upper box must end near where the lower begins. */
const margin = 0.2;
const smallest = 0.005;

export const height: FactKind<Height> = {
  alone: false,
  find({ scene }) {
    const objects = uniqueObjects(scene, smallest);
    const found: Height[] = [];
    for (const a of objects) {
      for (const b of objects) {
        const apart = (b.box[1] + b.box[3] - a.box[1] - a.box[3]) / 2;
        const shared = a.box[3] - b.box[1];
        const flat = Math.min(a.box[3] - a.box[1], b.box[3] - b.box[1]);
        if (apart >= margin && shared < 0.25 * flat) found.push({ upper: a.name, lower: b.name });
      }
    }
    return found;
  },
  word({ upper, lower }, _context, random) {
    const first = random.chance(0.5);
    const [subject, other] = first ? [upper, lower] : [lower, upper];
    const truth = first ? "above" : "below";
    const reveals = [subject, other];
    const verb = be(subject);
    const where = random.pick(pictureWords);
    const style = random.float();
    if (style < 0.4) {
      const asked = random.pick(["above", "below"]);
      const word = asked === truth ? "Yes" : "No";
      const full = random.chance(0.5) ? `, the ${subject} ${verb} ${truth} the ${other}.` : "";
      return {
        question: `${capitalised(verb)} the ${subject} ${asked} the ${other} in ${where}?`,
        answer: word + full,
        reveals,
      };
    }
    if (style < 0.6) {
      const asked = random.pick(["higher", "lower"]);
      const answer = (asked === "higher") === first ? subject : other;
      return {
        question: `Which is ${asked} in ${where}, the ${subject} or the ${other}?`,
        answer: `The ${answer}.`,
        reveals,
      };
    }
    const question = `${capitalised(verb)} the ${subject} above or below the ${other} in ${where}?`;
    if (style < 0.8) {
      return { question: withHint(question, oneWordHints, random), answer: capitalised(truth), reveals };
    }
    return { question, answer: `The ${subject} ${verb} ${truth} the ${other}.`, reveals };
  },
};
