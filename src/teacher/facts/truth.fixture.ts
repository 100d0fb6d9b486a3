// Reads questions and answers back and checks them against the boxes, without the code that wrote them.
import type { CaptionedPicture } from "../../data/sample.ts";

type Box = readonly [number, number, number, number];

/** Plurals of the names that tests use, by hand. */
const plurals: Readonly<Record<string, string>> = {
  people: "person",
  buses: "bus",
  mice: "mouse",
  knives: "knife",
  sheep: "sheep",
  benches: "bench",
};

function singular(name: string): string {
  return plurals[name] ?? name.replace(/(?<=(ss|x|sh|ch))es$|s$/, "");
}

/** Whether the answer to a question of the named kind is true of the picture; throws when it cannot be read. */
export function isTrue(kind: string, question: string, answer: string, picture: CaptionedPicture): boolean {
  const boxes = (name: string): Box[] =>
    (picture.objects ?? []).filter((each) => each.name === name).map(({ box }) => box);
  const one = (name: string): Box => {
    const found = boxes(name);
    if (found.length !== 1) throw new Error(`"${name}" is not unique: ${question}`);
    return found[0] as Box;
  };
  const said = answer.toLowerCase().replace(/\.$/, "");
  if (kind === "presence") return said.startsWith("yes") === boxes(presenceName(question)).length > 0;
  if (kind === "count") return countSaid(said) === boxes(singular(countName(question))).length;
  if (kind === "place") return placeSaid(said) === third(one(placeName(question)));
  return compare(kind, question, said, one);
}

function presenceName(question: string): string {
  const text = question.split(/[?\n]/)[0] as string;
  const found = /\b(?:an?|any) ([a-z ]+?)(?= in (?:the|this)| anywhere| here| visible| to be| appear|$)/.exec(text);
  if (found === null) throw new Error(`no object in "${question}"`);
  return found[1] as string;
}

function countName(question: string): string {
  return match(question, /(?:How many|Count the|number of) ([a-z ]+?)(?= are| can| do(?:es)? | in |\?|\.)/);
}

function countSaid(answer: string): number {
  const words = ["zero", "one", "two", "three", "four", "five"];
  const found = /\d+/.exec(answer)?.[0];
  return found === undefined ? words.findIndex((word) => new RegExp(`\\b${word}\\b`).test(answer)) : Number(found);
}

function placeName(question: string): string {
  return match(question.split("?")[0] as string, /\b(?:is|are) the ([a-z ]+?)(?= on the left| in (?:the|this)|$)/i);
}

function placeSaid(answer: string): string {
  return match(answer, /\b(left|middle|right)\b/);
}

function third([x1, , x2]: Box): string {
  const centre = (x1 + x2) / 2;
  return centre < 1 / 3 ? "left" : centre > 2 / 3 ? "right" : "middle";
}

const opposite: Readonly<Record<string, string>> = {
  left: "right",
  right: "left",
  above: "below",
  below: "above",
  larger: "smaller",
  smaller: "larger",
};

/** Relations of two objects: which holds from the first to the second, and which one the answer claims. */
function compare(kind: string, question: string, said: string, one: (name: string) => Box): boolean {
  const relation = (a: Box, b: Box): string => {
    if (kind === "left-right") return a[0] + a[2] < b[0] + b[2] ? "left" : "right";
    if (kind === "above-below") return a[1] + a[3] < b[1] + b[3] ? "above" : "below";
    return (a[2] - a[0]) * (a[3] - a[1]) > (b[2] - b[0]) * (b[3] - b[1]) ? "larger" : "smaller";
  };
  const which = /^Which.*?, the ([a-z ]+) or the ([a-z ]+)\?/.exec(question);
  if (which !== null) {
    const [, a, b] = which as unknown as [string, string, string];
    const chosen = said.replace(/^the /, "");
    const asked = /left|higher|more of|larger/.test(question.split(",")[0] as string) ? 0 : 1;
    const first = ["left", "above", "larger"].includes(relation(one(a), one(b))) ? a : b;
    return chosen === (asked === 0 ? first : first === a ? b : a);
  }
  const names = [
    ...question
      .split(/[?\n]/)[0]!
      .matchAll(
        /\bthe (?!left|right|image|picture|photo)([a-z ]+?)(?= look| (?:is|are) | to the| on the| left| above| below| larger| smaller| in (?:the|this)|$)/g,
      ),
  ];
  const than = / than the ([a-z ]+?) in /.exec(question)?.[1];
  const side = /^On which side of the ([a-z ]+) (?:is|are) the ([a-z ]+)\?/.exec(question);
  const [subject, other] = side === null ? [names[0]?.[1], than ?? names[1]?.[1]] : [side[2], side[1]];
  if (subject === undefined || other === undefined) throw new Error(`no pair in "${question}"`);
  const truth = relation(one(subject), one(other));
  if (!/^(yes|no)/.test(said)) return match(said, /\b(left|right|above|below)\b/) === truth;
  const asked = match(question, /\b(left|right|above|below|larger|smaller)\b/);
  const full = /\b(left|right|above|below)\b/.exec(said)?.[1];
  return (
    said.startsWith("yes") === (asked === truth) && (full === undefined || full === truth) && opposite[truth] !== truth
  );
}

function match(text: string, pattern: RegExp): string {
  const found = pattern.exec(text)?.[1];
  if (found !== undefined) return found;
  throw new Error(`cannot read "${text}"`);
}
