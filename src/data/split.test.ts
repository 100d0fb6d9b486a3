import fc from "fast-check";
import { expect, it } from "vitest";
import { splitByPicture } from "./split.ts";

const items = fc.array(fc.subarray(["a", "b", "c", "d", "e"]), { minLength: 1 }).map((list) => [...list, ["a"], ["b"]]);
const same = (list: readonly string[]): readonly string[] => list;

it("shows no held-out picture in training and drops nothing", () => {
  fc.assert(
    fc.property(items, fc.double({ min: 0.3, max: 0.6, noNaN: true }), fc.integer(), (list, fraction, seed) => {
      const split = splitByPicture(list, same, { fraction, seed });
      const out = new Set(split.pictures);
      expect(split.training.flat().some((picture) => out.has(picture))).toBe(false);
      expect(split.heldOut.flat().every((picture) => out.has(picture))).toBe(true);
      expect(split.training.length + split.heldOut.length + split.mixed.length).toBe(list.length);
      expect(splitByPicture(list, same, { fraction, seed })).toEqual(split);
    }),
  );
});

it("keeps out the last pictures as they appear", () => {
  const split = splitByPicture([["a"], ["b"], ["a"], ["c"], [], ["b", "c"], ["a", "c"]], same, { last: 2 });
  expect(split.pictures).toEqual(["b", "c"]);
  expect(split.training).toEqual([["a"], ["a"], []]);
  expect(split.heldOut).toEqual([["b"], ["c"], ["b", "c"]]);
  expect(split.mixed).toEqual([["a", "c"]]);
});

it("refuses to leave a side empty", () => {
  for (const last of [0, 2, 3, -1, 1.5, Number.NaN]) {
    expect(() => splitByPicture([["a"], ["b"]], same, { last })).toThrow(
      expect.objectContaining({ code: "SPLIT_SIZE" }),
    );
  }
});
