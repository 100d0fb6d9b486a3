// What the tiny vision tower learns from: crowded scenes, and for every patch what it shows.
import { random } from "../../data/random.ts";
import { boxOf, colours, nouns, places, placeThing } from "../scenes.ts";
import type { Scene, Thing } from "../scenes.ts";

/** Classes of a patch: a noun or, where no thing is, the place; and a colour or none. */
export const patchNouns: number = nouns.length + places.length;
export const patchColours: number = colours.length + 1;

/** Patches that a thing covers by less than this share count as background. */
const covered = 0.3;

/** Four to nine things of any noun and colour: more to learn from one picture than the quickstart's scenes hold. */
export function makeCrowdedScene(seed: number, index: number): Scene {
  const stream = random("crowded", seed, index);
  const place = stream.pick(places);
  const things: Thing[] = [];
  for (let wanted = 4 + stream.int(6); wanted > 0; wanted--) {
    const thing = placeThing(stream, stream.pick(nouns), stream.pick(colours), things);
    if (thing !== undefined) things.push(thing);
  }
  return { id: `crowded-${index}`, place, things, seed: stream.next() };
}

/** Noun and colour classes of the `side` × `side` patches of a scene, in reading order. */
export function patchClasses(scene: Scene, side: number): { nouns: Uint8Array; colours: Uint8Array } {
  const nounOf = new Uint8Array(side * side).fill(nouns.length + places.indexOf(scene.place));
  const colourOf = new Uint8Array(side * side).fill(colours.length);
  for (const thing of scene.things) {
    const [x1, y1, x2, y2] = boxOf(thing).map((edge) => edge * side) as [number, number, number, number];
    for (let row = Math.floor(y1); row < y2; row++) {
      for (let column = Math.floor(x1); column < x2; column++) {
        const width = Math.min(x2, column + 1) - Math.max(x1, column);
        const height = Math.min(y2, row + 1) - Math.max(y1, row);
        if (width * height < covered) continue;
        nounOf[row * side + column] = nouns.indexOf(thing.noun);
        colourOf[row * side + column] = colours.indexOf(thing.colour);
      }
    }
  }
  return { nouns: nounOf, colours: colourOf };
}
