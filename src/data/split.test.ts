import fc from "fast-check";
import { expect, it } from "vitest";
import { choosePictures, divideByPicture, type Division, type SplitRule } from "./split.ts";

const items = fc.array(fc.subarray(["a", "b", "c", "d", "e"]), { minLength: 1 }).map((list) => [...list, ["a"], ["b"]]);
const same = (list: readonly string[]): readonly string[] => list;

function splitByPicture<T>(
  items: readonly T[],
  picturesOf: (item: T) => readonly string[],
  rule: SplitRule,
): Division<T> & { pictures: readonly string[] } {
  const pictures = choosePictures(items.flatMap(picturesOf), rule);
  return { ...divideByPicture(items, picturesOf, new Set(pictures)), pictures };
}

it("shows no held-out picture in training and drops nothing", () => {
  fc.assert(
    fc.property(items, fc.double({ min: 0.3, max: 0.6, noNaN: true }), (list, fraction) => {
      const split = splitByPicture(list, same, { fraction });
      const out = new Set(split.pictures);
      expect(split.training.flat().some((picture) => out.has(picture))).toBe(false);
      expect(split.heldOut.flat().every((picture) => out.has(picture))).toBe(true);
      expect(split.training.length + split.heldOut.length + split.mixed.length).toBe(list.length);
      // the order in which pictures appear decides nothing
      expect(new Set(splitByPicture(list.toReversed(), same, { fraction }).pictures)).toEqual(out);
    }),
  );
});

it("keeps a picture on its side when others are added", () => {
  const names = (count: number) => Array.from({ length: count }, (_, i) => [`${i}.jpg`]);
  const few = splitByPicture(names(1000), same, { fraction: 0.1 }).pictures;
  const more = new Set(splitByPicture(names(1100), same, { fraction: 0.1 }).pictures);
  expect([few.length, more.size]).toEqual([100, 110]);
  expect(few.filter((name) => more.has(name)).length).toBeGreaterThan(90);
  expect(splitByPicture(names(1000), same, { count: 100 }).pictures).toEqual(few);
});

it("refuses to leave a side empty", () => {
  for (const count of [0, 2, 3, -1, 1.5, Number.NaN]) {
    expect(() => splitByPicture([["a"], ["b"]], same, { count })).toThrow(
      expect.objectContaining({ code: "SPLIT_SIZE" }),
    );
  }
});
