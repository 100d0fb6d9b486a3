// What people would write under a scene: several sentences in different wordings, and nothing that is not there.
import { random } from "../data/random.ts";
import type { Random } from "../data/random.ts";
import type { Colour, Place, Scene } from "./scenes.ts";

/** Some things of one noun and colour. */
export interface Named {
  readonly noun: string;
  readonly colour: string;
  readonly count: number;
}

/** All things of one noun together, with the place of their middle. */
interface Group extends Named {
  readonly x: number;
  readonly y: number;
}

const numbers = ["no", "one", "two", "three", "four", "five"] as const;
const wheres: Readonly<Record<Place, string>> = {
  meadow: "on a meadow",
  beach: "on a beach",
  "field of snow": "in a field of snow",
  desert: "in the desert",
  lake: "by a lake",
  "night sky": "under a night sky",
};
/** two middles must be this far apart (fractions of the picture) before a caption says which is further left or higher */
const clearly = 0.2;

/** Three different captions of a scene: a list, a list with the place, and a relation where one is clear. */
export function captionsOf(scene: Scene<string>): string[] {
  const stream = random("captions", scene.seed);
  const groups = stream.shuffle(groupsOf(scene));
  const turned = [...groups].reverse();
  const captions = [listCaption(groups, stream), placeCaption(turned, scene, stream)];
  captions.push(relationCaption(groups, stream) ?? placeCaption(groups, scene, stream));
  return captions;
}

/** The things of a scene by noun, in the order in which they were placed. */
export function groupsOf(scene: Scene<string>): Group[] {
  const byNoun = new Map<string, { colour: Colour; xs: number[]; ys: number[] }>();
  for (const { noun, colour, x, y } of scene.things) {
    const group = byNoun.get(noun) ?? { colour, xs: [], ys: [] };
    group.xs.push(x);
    group.ys.push(y);
    byNoun.set(noun, group);
  }
  return [...byNoun].map(([noun, { colour, xs, ys }]) => ({
    noun,
    colour,
    count: xs.length,
    x: mean(xs),
    y: mean(ys),
  }));
}

/** "a red car", "an orange tree", "two blue boats" */
export function phrase({ noun, colour, count }: Named): string {
  if (count > 1) return `${numbers[count] ?? String(count)} ${colour} ${noun}s`;
  return `${colour === "orange" ? "an" : "a"} ${colour} ${noun}`;
}

/** "a, b and c" */
export function join(parts: readonly string[]): string {
  if (parts.length < 2) return parts.join("");
  return `${parts.slice(0, -1).join(", ")} and ${parts.at(-1) ?? ""}`;
}

function listCaption(groups: readonly Group[], stream: Random): string {
  const list = join(groups.map(phrase));
  return stream.pick([`${capital(list)}.`, `A picture of ${list}.`, `A drawing of ${list}.`]);
}

function placeCaption(groups: readonly Group[], scene: Scene<string>, stream: Random): string {
  const list = join(groups.map(phrase));
  const place = wheres[scene.place];
  return stream.pick([`${capital(list)} ${place}.`, `${capital(place)}: ${list}.`]);
}

function relationCaption(groups: readonly Group[], stream: Random): string | undefined {
  const [a, b] = groups;
  if (a === undefined || b === undefined || a.count > 1 || b.count > 1) return undefined;
  const options: string[] = [];
  if (Math.abs(a.x - b.x) > clearly) options.push(a.x < b.x ? "to the left of" : "to the right of");
  if (Math.abs(a.y - b.y) > clearly) options.push(a.y < b.y ? "above" : "below");
  return options.length === 0 ? undefined : `${capital(phrase(a))} ${stream.pick(options)} ${phrase(b)}.`;
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
