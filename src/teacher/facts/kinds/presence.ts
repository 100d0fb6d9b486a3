// Yes or no: is an object in the picture? Which objects are asked is planned over the whole source (plan.ts).
import type { Random } from "../../../data/random.ts";
import { oneWordHints, pictureWords, withHint, type Ask, type FactContext, type FactKind } from "../kind.ts";
import { any, be, numberOf, plural, some } from "../names.ts";

interface Presence {
  readonly name: string;
  readonly present: boolean;
}

const hints = [...oneWordHints, "Answer yes or no.", "Yes or no?", "Please answer with yes or no."];

export const presence: FactKind<Presence> = {
  alone: false,
  find: ({ presence: { yes, no } }) => [
    ...yes.map((name) => ({ name, present: true })),
    ...no.map((name) => ({ name, present: false })),
  ],
  word(candidate, context, random) {
    const style = random.float();
    if (style < 0.35) return ask(candidate, presenceQuestion(candidate.name), candidate.present ? "Yes" : "No");
    const question = style < 0.45 ? presenceQuestion(candidate.name) : wording(candidate.name, random);
    if (style < 0.7) return ask(candidate, withHint(question, hints, random), candidate.present ? "Yes" : "No");
    return ask(candidate, question, sentence(candidate, context, random));
  },
  exam: (candidate) => ask(candidate, presenceQuestion(candidate.name), candidate.present ? "Yes" : "No"),
};

/** POPE's wording (Li et al. 2023, arXiv 2305.10355), with the number of names that have no singular. */
export function presenceQuestion(name: string): string {
  return `${thereIs(name)} in the image?`;
}

function ask({ name, present }: Presence, question: string, answer: string): Ask {
  return { question, answer, reveals: present ? [name] : [], seeks: name };
}

function thereIs(name: string): string {
  return `${numberOf(name) === "plural" ? "Are" : "Is"} there ${any(name)}`;
}

function wording(name: string, random: Random): string {
  const thing = any(name);
  const where = random.pick(pictureWords);
  const verb = numberOf(name) === "plural" ? "Are" : "Is";
  return random.pick([
    `${thereIs(name)} in ${where}?`,
    `${thereIs(name)} anywhere in ${where}?`,
    `${thereIs(name)} here?`,
    `Can you see ${thing} in ${where}?`,
    `Can you find ${thing} in ${where}?`,
    `Do you see ${thing} in ${where}?`,
    `Do you see ${thing}?`,
    `Does ${where} show ${thing}?`,
    `Does ${where} contain ${thing}?`,
    `Does ${thing} appear in ${where}?`.replace("Does any", numberOf(name) === "plural" ? "Do any" : "Does any"),
    `${verb} ${thing} visible in ${where}?`,
    `${verb} ${thing} to be seen in ${where}?`,
  ]);
}

function sentence({ name, present }: Presence, { scene }: FactContext, random: Random): string {
  const where = random.pick(pictureWords);
  if (!present) return noSentence(name, where, random);
  // several of them are not "a dog"; how many is a question of its own
  const several = (scene.groups.get(name)?.boxes.length ?? 1) > 1 && numberOf(name) === "singular";
  const verb = several ? "are" : be(name);
  const thing = several ? plural(name) : some(name);
  return random.pick([
    `Yes, there ${verb} ${thing} in ${where}.`,
    `Yes, ${where} shows ${thing}.`,
    `Yes, there ${verb} ${thing}.`,
    `Yes, I can see ${thing}.`,
    `Yes, ${thing} can be seen in ${where}.`,
  ]);
}

function noSentence(name: string, where: string, random: Random): string {
  const verb = be(name);
  return random.pick([
    `No, there ${verb} no ${name} in ${where}.`,
    `No, ${where} does not show ${any(name)}.`,
    `No, there ${verb} no ${name} here.`,
    `No, I can't see ${any(name)}.`,
    `No, ${any(name)} cannot be seen in ${where}.`.replace(/^No, any (.*) cannot/, "No, no $1 can"),
  ]);
}
