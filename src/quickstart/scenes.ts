// The quickstart's little world: scenes of a few coloured things on a background, all decided by a seed.
import { random } from "../data/random.ts";
import type { Random } from "../data/random.ts";

/** What can stand in a scene; every plural takes a plain "s", so that captions stay simple. */
export const nouns = [
  "boat",
  "house",
  "tree",
  "car",
  "star",
  "flower",
  "balloon",
  "umbrella",
  "mushroom",
  "cup",
  "kite",
  "cat",
] as const;
export type Noun = (typeof nouns)[number];

export const colours = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "white"] as const;
export type Colour = (typeof colours)[number];

export const places = ["meadow", "beach", "field of snow", "desert", "lake", "night sky"] as const;
export type Place = (typeof places)[number];

/** One thing in a scene: its centre and size in fractions of the picture, and its tilt in degrees. */
export interface Thing<N extends string = Noun> {
  readonly noun: N;
  readonly colour: Colour;
  readonly x: number;
  readonly y: number;
  readonly size: number;
  readonly tilt: number;
}

/** A picture before it is drawn. All things of one noun share one colour, so that "the red boats" names them. */
export interface Scene<N extends string = Noun> {
  readonly id: string;
  readonly place: Place;
  readonly things: readonly Thing<N>[];
  /** seeds the background's details */
  readonly seed: number;
}

/** How many of one noun stand together: mostly one. */
const counts = [1, 1, 1, 1, 2, 2, 3] as const;
const mostThings = 5;
const smallest = 0.21;
const largest = 0.31;
/** free space kept between two things, in fractions of the picture */
const gap = 0.015;

/**
 * A scene of two or three kinds of things (at most five things) that do not touch. The same seed, split and index
 * give the same scene; a split ("train", "held-out") has its own stream, so no two splits share scenes.
 */
export function makeScene(seed: number, split: string, index: number): Scene {
  return composeScene(`${split}-${String(index).padStart(4, "0")}`, random("scene", seed, split, index), nouns);
}

/** Such a scene of any words, decided by the stream. */
export function composeScene<N extends string>(id: string, stream: Random, words: readonly N[]): Scene<N> {
  const place = stream.pick(places);
  const things: Thing<N>[] = [];
  const add = (noun: N, colour: Colour): void => {
    const thing = things.length < mostThings ? placeThing(stream, noun, colour, things) : undefined;
    if (thing !== undefined) things.push(thing);
  };
  // one of each first: later copies can find the picture full, but two kinds always fit
  const kinds = stream.sample(words, 2 + stream.int(2)).map((noun) => ({ noun, colour: stream.pick(colours) }));
  for (const { noun, colour } of kinds) add(noun, colour);
  for (const { noun, colour } of kinds) {
    for (let copies = stream.pick(counts) - 1; copies > 0; copies--) add(noun, colour);
  }
  return { id, place, things, seed: stream.next() };
}

/** The box of a thing in fractions: x1, y1, x2, y2. */
export function boxOf(thing: Thing<string>): readonly [number, number, number, number] {
  const half = thing.size / 2;
  return [thing.x - half, thing.y - half, thing.x + half, thing.y + half];
}

/** A free spot for one more thing of this noun and colour, or undefined when none was found in a fair number of tries. */
export function placeThing<N extends string>(
  stream: Random,
  noun: N,
  colour: Colour,
  others: readonly Thing<N>[],
): Thing<N> | undefined {
  for (let attempt = 0; attempt < 60; attempt++) {
    const size = smallest + (largest - smallest) * stream.float();
    const free = 1 - size - 2 * gap;
    const thing: Thing<N> = {
      noun,
      colour,
      x: gap + size / 2 + free * stream.float(),
      y: gap + size / 2 + free * stream.float(),
      size,
      tilt: Math.round((stream.float() - 0.5) * 16),
    };
    if (others.every((other) => apart(thing, other))) return thing;
  }
  return undefined;
}

function apart(a: Thing<string>, b: Thing<string>): boolean {
  const reach = (a.size + b.size) / 2 + gap;
  return Math.abs(a.x - b.x) >= reach || Math.abs(a.y - b.y) >= reach;
}
