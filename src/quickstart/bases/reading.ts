// What the tiny language model reads before it ever sees: pictures in words, and what the built-in teacher says of them.
import { random } from "../../data/random.ts";
import type { CaptionedPicture, Sample } from "../../data/sample.ts";
import { teachCaptions } from "../../teacher/facts/captions.ts";
import { teachFacts } from "../../teacher/facts/teach.ts";
import { captionsOf } from "../captions.ts";
import { boxOf, composeScene, nouns, type Scene } from "../scenes.ts";
import { drillSamples } from "./drills.ts";
import { noteOf } from "./notes.ts";

/** Things that are only read about, never drawn: most of the reading is about another world than the pictures. */
const unseen = [
  ...["dog", "horse", "lamp", "chair", "table", "bottle", "book", "clock", "spoon", "hat", "ring", "key"],
  ...["bird", "cow", "plane", "train", "truck", "bridge", "door", "window", "drum", "bell", "rope", "coin"],
] as const;

/** positions are hard to tell from words in a row: fewer questions about them */
const mixture = { presence: 8, count: 1, "left-right": 1, place: 0.5 };

const words: readonly string[] = [...nouns, ...unseen];

/**
 * Conversations about `count` scenes without pictures. Questions, captions and answers are those of the built-in
 * teacher and a few drills; what answers them stands in words before the first (see notes.ts), so a model learns to
 * look things up, and nothing about any picture.
 */
export async function readingSamples(count: number, seed: number): Promise<Sample[]> {
  const scenes = new Map(Array.from({ length: count }, (_, index) => noteScene(seed, index)).map((s) => [s.id, s]));
  const pictures = [...scenes.values()].map(pictureOf);
  const samples: Sample[] = [];
  for await (const sample of teachFacts(pictures, { mixture, seed })) samples.push(sample);
  for await (const sample of teachCaptions(pictures, { captions: "one", seed })) samples.push(sample);
  for (const scene of scenes.values()) samples.push(...drillSamples(scene, words, random("drills", seed, scene.id)));
  return samples.map((sample) => inWords(sample, scenes.get(sample.images[0] ?? "")!));
}

function noteScene(seed: number, index: number): Scene<string> {
  return composeScene(`note-${String(index).padStart(5, "0")}`, random("reading", seed, index), words);
}

function pictureOf(scene: Scene<string>): CaptionedPicture {
  const objects = scene.things.map((thing) => ({ name: thing.noun, box: boxOf(thing) }));
  return { id: scene.id, image: scene.id, captions: captionsOf(scene), objects };
}

/** The sample with words in the place of its picture. */
function inWords(sample: Sample, scene: Scene<string>): Sample {
  const conversations = sample.conversations.map(({ from, value }) => ({
    from,
    value: value.replace("<image>", noteOf(scene)),
  }));
  return { ...sample, images: [], conversations };
}
