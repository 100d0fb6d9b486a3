// Left or right of each other: pairs of objects that stand clearly apart, each the only one of its name.
import { oneWordHints, pictureWords, withHint, type Ask, type FactKind } from "../kind.ts";
import { be, capitalised } from "../names.ts";
import { uniqueObjects } from "../scene.ts";
import type { Random } from "../../../data/random.ts";

interface Side {
  readonly left: string;
  readonly right: string;
}

/** Centres must be this share of the width apart, and overlap sideways by less than this of the narrower. */
const margin = 0.15;
const overlapping = 0.4;
const smallest = 0.005;

export const side: FactKind<Side> = {
  alone: false,
  find({ scene }) {
    const objects = uniqueObjects(scene, smallest);
    const found: Side[] = [];
    for (const a of objects) {
      for (const b of objects) {
        const apart = (b.box[0] + b.box[2] - a.box[0] - a.box[2]) / 2;
        const shared = a.box[2] - b.box[0];
        const narrow = Math.min(a.box[2] - a.box[0], b.box[2] - b.box[0]);
        if (apart >= margin && shared < overlapping * narrow) found.push({ left: a.name, right: b.name });
      }
    }
    return found;
  },
  word(candidate, _context, random) {
    const style = random.float();
    if (style < 0.3) return exam(candidate, random);
    const { subject, other, where } = turned(candidate, random);
    const names = [subject, other];
    if (style < 0.55) return yesOrNo(subject, other, where, random);
    if (style < 0.7) {
      const wanted = random.pick(["left", "right"]);
      const further = random.pick([`Which is further to the ${wanted}`, `Which one is more to the ${wanted}`]);
      const answer = wanted === where ? subject : other;
      return { question: `${further}, the ${subject} or the ${other}?`, answer: `The ${answer}.`, reveals: names };
    }
    const question = random.pick([
      `On which side of the ${other} ${be(subject)} the ${subject}?`,
      `${capitalised(be(subject))} the ${subject} left or right of the ${other}?`,
      `${capitalised(be(subject))} the ${subject} on the left or on the right of the ${other} in ${random.pick(pictureWords)}?`,
    ]);
    if (random.chance(0.5)) {
      return { question: withHint(question, oneWordHints, random), answer: capitalised(where), reveals: names };
    }
    const answer = `The ${subject} ${be(subject)} to the ${where} of the ${other}.`;
    return { question, answer, reveals: names };
  },
  exam,
};

function turned({ left, right }: Side, random: Random): { subject: string; other: string; where: "left" | "right" } {
  return random.chance(0.5)
    ? { subject: left, other: right, where: "left" }
    : { subject: right, other: left, where: "right" };
}

function exam(candidate: Side, random: Random): Ask {
  const { subject, other, where } = turned(candidate, random);
  const verb = capitalised(be(subject));
  return {
    question: `${verb} the ${subject} to the left or to the right of the ${other}? Answer with one word.`,
    answer: capitalised(where),
    reveals: [subject, other],
  };
}

function yesOrNo(subject: string, other: string, where: string, random: Random): Ask {
  const asked = random.pick(["left", "right"]);
  const verb = be(subject);
  const question = `${capitalised(verb)} the ${subject} to the ${asked} of the ${other}?`;
  const yes = asked === where;
  const reveals = [subject, other];
  const style = random.float();
  if (style < 0.4) return { question, answer: yes ? "Yes" : "No", reveals };
  if (style < 0.6) {
    return {
      question: withHint(question, ["Answer yes or no.", ...oneWordHints], random),
      answer: yes ? "Yes" : "No",
      reveals,
    };
  }
  const answer = `${yes ? "Yes" : "No"}, the ${subject} ${verb} to the ${where} of the ${other}.`;
  return { question, answer, reveals };
}
