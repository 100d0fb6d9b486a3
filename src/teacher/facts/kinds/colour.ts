// Colours that captions state of an object, where all captions agree and no person is meant.
import { isPunctuation, type Caption } from "../caption.ts";
import { oneWordHints, pictureWords, withHint, type Ask, type FactKind } from "../kind.ts";
import type { Mention } from "../mention.ts";
import { be, capitalised, numberOf } from "../names.ts";
import type { Scene } from "../scene.ts";

interface Colour {
  readonly name: string;
  /** "red", "red and white" */
  readonly colour: string;
}

const colours: ReadonlyMap<string, string> = new Map(
  "red orange yellow green blue purple pink brown black white gray silver beige tan"
    .split(" ")
    .map((colour) => [colour, colour] as const)
    .concat([["grey", "gray"]]),
);

/** Words that may stand between a colour and its noun without changing what is coloured. */
const passed = new Set(
  "big large small little tiny huge long short tall old new young wooden plastic metal leather striped double decker school commuter passenger city public tour fluffy furry shiny empty vintage antique modern pickup sports open parked".split(
    " ",
  ),
);

/** Words that may follow the noun; any other word could make a compound of it ("red bus stop"). */
const follows =
  /^(is|are|was|has|on|in|at|of|with|and|that|which|near|next|by|under|over|behind|beside|between|to|from|for|into|down|up|as|against|while|above|below|along|around|being|parked|standing|sitting|\w+ing|\w+ed|sits|stands|lies|lays|sleeps|rests|looks|walks|runs|drives|travels|flies|waits|plays|eats|rides|moves|goes|passes|pulls|comes|turns|crosses|grazes|watches|swims|jumps|holds|stares|drives|leans|hangs|left|right|higher|lower|further)$/;

/** Skin, wine and drinks are not what these colour words would say. */
const neverAsked = new Set(["person", "wine glass", "orange", "traffic light"]);

export const colour: FactKind<Colour> = {
  alone: false,
  find({ scene }) {
    if (scene.captions.some(({ text }) => /black (and|&) white (photo|picture|image)|sepia|monochrome/i.test(text)))
      return [];
    const stated = new Map<string, Set<string>>();
    for (const [i, caption] of scene.captions.entries()) readCaption(caption, scene.mentions[i] ?? [], stated);
    const found: Colour[] = [];
    for (const [name, set] of stated) {
      const [only] = set;
      if (set.size === 1 && only !== undefined && isOne(scene, name)) found.push({ name, colour: only });
    }
    return found;
  },
  word(candidate, _context, random) {
    const style = random.float();
    if (style < 0.3) return exam(candidate);
    const { name, colour } = candidate;
    const word = random.pick(["color", "colour"]);
    const question = random.pick([
      `What ${word} ${be(name)} the ${name}?`,
      `What ${word} ${be(name)} the ${name} in ${random.pick(pictureWords)}?`,
      `Which ${word} does the ${name} have?`.replace("does", be(name) === "are" ? "do" : "does"),
      `What is the ${word} of the ${name}?`,
    ]);
    if (style < 0.55) return ask(name, withHint(question, oneWordHints, random), capitalised(colour));
    return ask(name, question, random.pick([`The ${name} ${be(name)} ${colour}.`, `${capitalised(colour)}.`]));
  },
  exam,
  balance: { share: 0.2, answer: ({ colour }) => colour },
};

function exam({ name, colour }: Colour): Ask {
  return ask(name, `What color ${be(name)} the ${name}? Answer with one word.`, capitalised(colour));
}

function ask(name: string, question: string, answer: string): Ask {
  return { question, answer, reveals: [name] };
}

/** "the bus" must mean one bus: one box, or no plural in any caption where there are no boxes. */
function isOne(scene: Scene, name: string): boolean {
  if (neverAsked.has(name) || numberOf(name) === "mass") return false;
  if (scene.boxed) {
    const group = scene.groups.get(name);
    return group !== undefined && group.countable && group.boxes.length === 1;
  }
  return scene.mentions.every((list) => list.every((mention) => mention.name !== name || !mention.plural));
}

/** Adds the colours stated before each sure mention, e.g. "red and white" for "a red and white bus". */
function readCaption({ words }: Caption, mentions: readonly Mention[], stated: Map<string, Set<string>>): void {
  for (const { name, start, end } of mentions) {
    const after = words[end];
    if (after !== undefined && !isPunctuation(after) && !follows.test(after)) continue;
    let at = start - 1;
    while (at >= 0 && passed.has(words[at] as string)) at--;
    const last = colours.get(words[at] ?? "");
    if (last === undefined) continue;
    const first = words[at - 1] === "and" ? colours.get(words[at - 2] ?? "") : undefined;
    const set = stated.get(name);
    const whole = first === undefined ? last : `${first} and ${last}`;
    if (set === undefined) stated.set(name, new Set([whole]));
    else set.add(whole);
  }
}
