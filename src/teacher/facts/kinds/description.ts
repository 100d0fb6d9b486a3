// A long description: the captions that add something, then what the boxes say of number, place and the rest.
import type { Random } from "../../../data/random.ts";
import { contentStems } from "../caption.ts";
import { statedCount } from "../mention.ts";
import { pictureWords, type FactKind } from "../kind.ts";
import { be, capitalised, counted, listed } from "../names.ts";
import { uniqueObjects, type Group, type Scene } from "../scene.ts";
import { amount } from "./list.ts";

const requests = [
  "Describe the picture in detail.",
  "Describe this image in detail.",
  "Give a detailed description of this photo.",
  "Tell me everything you can see in the picture.",
  "What can you tell me about this image?",
  "Explain at some length what this picture shows.",
  "Write a paragraph that describes this image.",
  "Walk me through what is visible in this photo.",
];

export const description: FactKind<readonly string[]> = {
  alone: true,
  find({ scene }) {
    const chosen = chooseCaptions(scene);
    return chosen.length > 1 || (chosen.length === 1 && scene.groups.size > 1) ? [chosen] : [];
  },
  word(chosen, { scene }, random) {
    const sentences = [...chosen, ...boxSentences(scene, random)];
    return { question: random.pick(requests), answer: sentences.join(" "), reveals: [...scene.groups.keys()] };
  },
};

/** The fullest caption, then those that bring mostly new content; three at most. */
function chooseCaptions(scene: Scene): string[] {
  const left = scene.captions.map((caption, i) => {
    const mentions = scene.mentions[i] ?? [];
    // "a man" and "the guy" say the same: objects count by name, whatever the caption calls them
    const other = caption.words.filter((_, at) => !mentions.some(({ start, end }) => start <= at && at < end));
    const names = mentions.map(({ name }) => name);
    return { text: caption.text, names, first: mentions[0], content: new Set([...names, ...contentStems(other)]) };
  });
  left.sort((a, b) => b.content.size - a.content.size);
  const said = new Set<string>();
  const chosen: string[] = [];
  for (const { text, names, first, content } of left) {
    const fresh = [...content].filter((item) => !said.has(item));
    if (chosen.length > 0 && (fresh.length < 3 || fresh.length < 0.6 * content.size)) continue;
    // the second time it is "the man"
    const known = first !== undefined && !first.plural && first.start <= 3 && said.has(first.name);
    chosen.push(known && !/^(\S+ ){1,3}of /.test(text) ? text.replace(/^(An?|One) /, "The ") : text);
    for (const item of [...fresh, ...names]) said.add(item);
    if (chosen.length === 3) break;
  }
  return chosen;
}

function boxSentences(scene: Scene, random: Random): string[] {
  const named = new Set(scene.mentions.flat().map(({ name }) => name));
  const all = [...scene.groups.values()];
  const few = all.filter(({ name, boxes, countable }) => {
    return countable && boxes.length > 1 && boxes.length <= 5 && !saysNumber(scene, name);
  });
  const numbered = few.slice(0, 3);
  const placed = placeSentence(scene, named, random);
  for (const { name } of numbered) named.add(name);
  const rest = all.filter(({ name, area }) => !named.has(name) && area >= 0.004).slice(0, 4);
  const sentences = [numberSentence(numbered, random), placed, restSentence(rest, random)];
  return sentences.filter((sentence) => sentence !== undefined);
}

function saysNumber(scene: Scene, name: string): boolean {
  return scene.captions.some(({ words }, i) => {
    return (scene.mentions[i] ?? []).some(
      (mention) => mention.name === name && statedCount(words, mention) !== undefined,
    );
  });
}

/** "There are three people and two cars in all." for numbers that can be trusted. */
function numberSentence(groups: readonly Group[], random: Random): string | undefined {
  if (groups.length === 0) return undefined;
  const things = listed(groups.map(({ name, boxes }) => counted(name, boxes.length)));
  return random.pick([`There are ${things} in all.`, `In total, ${things} can be seen.`, `I count ${things}.`]);
}

/** "A bottle on the left and a cup can also be seen." for objects that no sentence before has named. */
function restSentence(groups: readonly Group[], random: Random): string | undefined {
  const [first] = groups;
  if (first === undefined) return undefined;
  const things = listed(groups.map((group) => amount(group) + sideOf(group)));
  if (groups.length === 1 && first.boxes.length === 1) {
    return random.pick([`There ${be(first.name)} also ${things}.`, `${capitalised(things)} can also be seen.`]);
  }
  return random.pick([
    `Also visible are ${things}.`,
    `${capitalised(things)} can also be seen.`,
    `The scene also holds ${things}.`,
  ]);
}

/** "The dog is on the left, and the car is on the right." for the largest that stand clearly to a side. */
function placeSentence(scene: Scene, named: ReadonlySet<string>, random: Random): string | undefined {
  const objects = uniqueObjects(scene, 0.01).filter(({ name }) => named.has(name));
  const left = objects.find(({ box }) => box[2] < 0.5);
  const right = objects.find(({ box }) => box[0] > 0.5);
  const side = (name: string, word: string): string => `the ${name} ${be(name)} on the ${word}`;
  if (left !== undefined && right !== undefined) {
    const both = `${side(left.name, "left")}${random.pick([", and ", ", while ", "; "])}${side(right.name, "right")}`;
    return `${capitalised(both)}.`;
  }
  const where = random.pick(pictureWords);
  if (left !== undefined) return `${capitalised(side(left.name, "left side"))} of ${where}.`;
  return right === undefined ? undefined : `${capitalised(side(right.name, "right side"))} of ${where}.`;
}

function sideOf({ boxes: [box, second] }: Group): string {
  if (box === undefined || second !== undefined) return "";
  if (box[2] < 0.5) return " on the left";
  return box[0] > 0.5 ? " on the right" : "";
}
