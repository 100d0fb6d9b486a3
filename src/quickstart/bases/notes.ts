// Pictures in words: a scene becomes a grid of words, as a vision tower makes it a grid of features.
import { boxOf, type Scene } from "../scenes.ts";

/** The grid has as many cells as the quickstart's pictures have tokens: 4 × 4. */
const side = 4;
/** a cell names every thing that covers this share of it */
const covered = 0.15;

/**
 * The cells of a scene in reading order, in capitals: what stands there, or else the place. Capitals are a script of
 * their own, which questions and answers never use, as they never use the features of a picture.
 */
export function noteOf(scene: Scene<string>): string {
  const place = scene.place.split(" ").at(-1) ?? "";
  const cells = Array.from({ length: side * side }, (_, cell) => {
    const here = scene.things.filter((thing) => share(boxOf(thing), cell) >= covered);
    return here.length === 0 ? place : here.map(({ colour, noun }) => `${colour} ${noun}`).join(" ");
  });
  return cells.join(" ").toUpperCase();
}

/** How much of a cell a box covers, 0–1. */
function share([x1, y1, x2, y2]: readonly [number, number, number, number], cell: number): number {
  const [left, top] = [cell % side, Math.floor(cell / side)];
  const width = Math.min(x2 * side, left + 1) - Math.max(x1 * side, left);
  const height = Math.min(y2 * side, top + 1) - Math.max(y1 * side, top);
  return Math.max(0, width) * Math.max(0, height);
}
