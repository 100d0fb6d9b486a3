// What the tiny language model reads before it ever sees: notes about things, and questions that the notes answer.
import { random } from "../../data/random.ts";
import type { Random } from "../../data/random.ts";
import type { BoxedObject, CaptionedPicture, Sample } from "../../data/sample.ts";
import { teachFacts } from "../../teacher/facts/teach.ts";
import { join, phrase } from "../captions.ts";
import { colours, nouns } from "../scenes.ts";

/** Things that are only read about, never drawn: most of the reading is about another world than the pictures. */
const unseen = [
  "dog",
  "horse",
  "lamp",
  "chair",
  "table",
  "bottle",
  "book",
  "clock",
  "spoon",
  "hat",
  "ring",
  "key",
  "bird",
  "cow",
  "plane",
  "train",
  "truck",
  "bridge",
  "door",
  "window",
  "drum",
  "bell",
  "rope",
  "coin",
] as const;

const rooms = ["kitchen", "garden", "market", "museum", "harbour", "forest", "street", "shop", "yard", "hall"] as const;
const openings = [
  "Read this note.",
  "Here is a note.",
  "Someone wrote this down.",
  "This was heard on the phone.",
  "A page of a diary.",
  "From a letter.",
] as const;
const sides = ["on the left", "in the middle", "on the right"] as const;
const heights = ["at the top", "halfway up", "at the bottom"] as const;

interface Item {
  readonly noun: string;
  readonly colour: string;
  readonly count: number;
  readonly column: number;
  readonly row: number;
}

/**
 * `count` conversations without pictures. The questions are those of the built-in teacher; what answers them stands
 * in words before the first, so a model learns to look things up, and nothing about any picture.
 */
export async function readingSamples(count: number, seed: number): Promise<Sample[]> {
  const notes = new Map<string, string>();
  const pictures = Array.from({ length: count }, (_, index): CaptionedPicture => {
    const stream = random("reading", seed, index);
    const items = makeItems(stream);
    const id = `note-${String(index).padStart(5, "0")}`;
    notes.set(id, noteText(items, stream));
    return { id, image: id, captions: [captionText(items, stream)], objects: items.flatMap((item) => boxesOf(item)) };
  });
  const samples: Sample[] = [];
  for await (const sample of teachFacts(pictures, { seed })) {
    const [first, ...rest] = sample.conversations;
    const note = notes.get(sample.images[0] ?? "");
    if (first === undefined || note === undefined) continue;
    const value = `${note}\n${first.value.replace("<image>\n", "")}`;
    samples.push({ ...sample, images: [], conversations: [{ from: "human", value }, ...rest] });
  }
  return samples;
}

/** One to four kinds of things in different cells of a 3 × 3 grid; copies of one thing share its column. */
function makeItems(stream: Random): Item[] {
  const words = stream.chance(0.5) ? unseen : stream.chance(0.5) ? nouns : [...unseen, ...nouns];
  const cells = stream.shuffle([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  return stream.sample<string>(words, 1 + stream.int(4)).map((noun, i) => {
    const cell = cells[i] ?? 0;
    const count = stream.pick([1, 1, 1, 1, 2, 2, 3]);
    return { noun, colour: stream.pick(colours), count, column: cell % 3, row: Math.floor(cell / 3) };
  });
}

function boxesOf({ noun, count, column, row }: Item): BoxedObject[] {
  return Array.from({ length: count }, (_, copy) => {
    const x = column / 3 + 0.02 + copy * 0.1;
    const y = row / 3 + 0.06;
    return { name: noun, box: [x, y, x + 0.09, y + 0.2] as const };
  });
}

function captionText(items: readonly Item[], stream: Random): string {
  return `A ${stream.pick(rooms)} with ${join(items.map((item) => phrase(item)))}.`;
}

/** A note states everything that is asked: what, how many, which colour, where. */
function noteText(items: readonly Item[], stream: Random): string {
  const style = stream.int(4);
  const parts = stream.shuffle(items).map((item) => {
    const spot = `${sides[item.column] ?? ""} ${heights[item.row] ?? ""}`;
    const where = stream.chance(0.5) ? spot : (sides[item.column] ?? "");
    if (style === 0) return `There ${item.count > 1 ? "are" : "is"} ${phrase(item)} ${where}.`;
    if (style === 1)
      return `${where.slice(0, 1).toUpperCase()}${where.slice(1)} ${item.count > 1 ? "stand" : "stands"} ${phrase(item)}.`;
    if (style === 2) return `${item.noun} ${item.colour} ${item.count} ${where};`;
    return `I saw ${phrase(item)} ${where}.`;
  });
  return `${stream.pick(openings)} ${parts.join(" ")}`;
}
