// Shared pictures: who comes together, that no sample is lost or changed, and what each token sees and predicts.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { IGNORE_LABEL } from "../text/expand.ts";
import type { EncodedSample } from "./encode.ts";
import { epochOrder } from "./order.ts";
import { buildRow, type Row, targetsOf } from "./pack.ts";
import { groupSamples, joinGroup, sharedKeys, sharedOrder, shareSamples } from "./share.ts";

const IMAGE = 7;

/** [a word, the picture's three places, the text]; words that are learned are negative. */
function sampleOf(id: string, image: string, before: number, text: readonly number[]): EncodedSample {
  const all = [before, IMAGE, IMAGE, IMAGE, ...text];
  const ids = Int32Array.from(all, Math.abs);
  const labels = Int32Array.from(all, (word) => (word < 0 ? -word : IGNORE_LABEL));
  return { id, images: [image], ids, labels, imageRuns: [{ start: 1, length: 3, image: 0 }] };
}

const word = fc.integer({ min: 10, max: 99 });
/** Samples about three pictures, behind one of two words. */
const samples: fc.Arbitrary<EncodedSample[]> = fc
  .array(
    fc.record({
      picture: fc.nat(2),
      before: fc.integer({ min: 1, max: 2 }),
      text: fc.array(fc.tuple(word, fc.boolean()), { minLength: 1, maxLength: 9 }),
    }),
    { minLength: 1, maxLength: 20 },
  )
  .map((list) =>
    list.map(({ picture, before, text }, i) =>
      sampleOf(
        String(i),
        `${picture}.jpg`,
        before,
        text.map(([id, learned]) => (learned ? -id : id)),
      ),
    ),
  );
const sharing = fc.record({ most: fc.integer({ min: 2, max: 5 }), longest: fc.integer({ min: 13, max: 40 }) });

describe("groupSamples", () => {
  it("keeps every sample once, with those of its pictures and words before them, within the limits", () => {
    fc.assert(
      fc.property(samples, sharing, (list, limits) => {
        const groups = groupSamples(list, limits);
        expect(
          groups
            .flat()
            .map(({ id }) => Number(id))
            .toSorted((a, b) => a - b),
        ).toEqual([...list.keys()]);
        const firsts = groups.map(([first]) => Number(first!.id));
        expect(firsts).toEqual(firsts.toSorted((a, b) => a - b));
        for (const group of groups) {
          expect(new Set(group.map(({ images, ids }) => `${images[0]} ${ids[0]}`)).size).toBe(1);
          expect(group.length).toBeLessThanOrEqual(limits.most);
          expect(joinGroup(group).ids.length).toBeLessThanOrEqual(limits.longest);
        }
      }),
    );
  });

  it("leaves no two groups that one could hold", () => {
    const list = Array.from({ length: 7 }, (_, i) => sampleOf(String(i), "a.jpg", 1, [20, -30 - i]));
    const sizes = (most: number, longest: number): number[] =>
      groupSamples(list, { most, longest }).map(({ length }) => length);
    expect(sizes(3, 100)).toEqual([3, 3, 1]);
    expect(sizes(9, 100)).toEqual([7]);
    // 4 shared tokens and 2 of each
    expect(sizes(9, 9)).toEqual([2, 2, 2, 1]);
    expect(sizes(9, 6)).toEqual([1, 1, 1, 1, 1, 1, 1]);
  });

  it("joins nothing that differs before the text, is learned there, or has no picture", () => {
    const one = sampleOf("one", "a.jpg", 1, [-20]);
    const none = { ...one, images: [], imageRuns: [] };
    const two = {
      ...sampleOf("two", "a.jpg", 1, [IMAGE, -20]),
      images: ["a.jpg", "b.jpg"],
      imageRuns: [
        { start: 1, length: 3, image: 0 },
        { start: 4, length: 1, image: 1 },
      ],
    };
    const list = [
      ...[one, sampleOf("other picture", "b.jpg", 1, [-20]), sampleOf("other word", "a.jpg", 2, [-20])],
      ...[two, { ...two, images: ["b.jpg", "a.jpg"] }, none, none],
      ...[sampleOf("learned", "a.jpg", -1, [-20]), sampleOf("learned", "a.jpg", -1, [-20])],
    ];
    expect(groupSamples(list, { most: 9, longest: 99 }).every(({ length }) => length === 1)).toBe(true);
    expect(groupSamples([two, two, one, one], { most: 9, longest: 99 }).map(({ length }) => length)).toEqual([2, 2]);
    expect(joinGroup([one])).toBe(one);
  });
});

/** For every target what the model sees before it, and the token: as the masks and positions of a row say. */
function lessons(row: Row): string[] {
  const { positions, ids } = targetsOf(row);
  const sees = (q: number, k: number): boolean =>
    row.documents[k] === row.documents[q] &&
    row.positions[k]! <= row.positions[q]! &&
    (row.branches[k] === 0 || row.branches[k] === row.branches[q]);
  return Array.from(positions, (q, i) => {
    const seen = [...row.ids.keys()].filter((k) => sees(q, k));
    expect(seen.map((k) => row.positions[k])).toEqual([...seen.keys()]);
    expect(seen.every((k) => k <= q)).toBe(true);
    return `${seen.map((k) => row.ids[k]).join(" ")} → ${ids[i]}`;
  });
}

it("teaches what the samples teach apart: the same tokens behind the same ones, each at its place", () => {
  fc.assert(
    fc.property(samples, sharing, (list, limits) => {
      const documents = shareSamples(list, limits);
      const long = (of: readonly EncodedSample[]): number => of.reduce((sum, { ids }) => sum + ids.length, 3);
      const apart = lessons(buildRow(list, long(list)));
      expect(lessons(buildRow(documents, long(documents))).toSorted()).toEqual(apart.toSorted());
      const pictures = buildRow(documents, long(documents)).images;
      expect(pictures).toHaveLength(documents.length);
    }),
  );
});

describe("sharedOrder", () => {
  const epochs = fc.record({
    seed: fc.nat(),
    most: fc.integer({ min: 2, max: 5 }),
    batchSize: fc.integer({ min: 1, max: 8 }),
    start: fc.nat(7),
  });

  it("is a permutation that keeps the order within each key and of what is alone", () => {
    fc.assert(
      fc.property(samples, epochs, (list, { seed, most, batchSize, start }) => {
        const keys = sharedKeys(list).map((key, i) => (i % 5 === 0 ? -1 : key));
        const order = epochOrder(seed, 0, list.length);
        const gathered = sharedOrder(order, keys, { most, batchSize, start: start % batchSize });
        expect([...gathered].toSorted((a, b) => a - b)).toEqual([...list.keys()]);
        for (const key of new Set(keys)) {
          const own = (of: Int32Array): number[] => [...of].filter((i) => keys[i] === key);
          expect(own(gathered)).toEqual(own(order));
        }
      }),
    );
  });

  it("brings up to so many together, none across two steps, the first in its place", () => {
    const keys = Int32Array.of(0, 1, -1, 0, 0, 1, 0, 0);
    const order = Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7);
    const gathered = (most: number, batchSize: number, start = 0): number[] => [
      ...sharedOrder(order, keys, { most, batchSize, start }),
    ];
    expect(gathered(3, 8)).toEqual([0, 3, 4, 1, 5, 2, 6, 7]);
    expect(gathered(8, 8)).toEqual([0, 3, 4, 6, 7, 1, 5, 2]);
    // steps of four: 0 3 4 and one of 1's, whose other comes in the next step
    expect(gathered(3, 4)).toEqual([0, 3, 4, 1, 2, 5, 6, 7]);
    // three of the first step are the epoch's before
    expect(gathered(3, 4, 3)).toEqual([0, 1, 5, 2, 3, 4, 6, 7]);
    expect(gathered(3, 1)).toEqual([...order]);
  });
});

it("keeps copies of a sample apart", () => {
  const [a, b, c] = ["a", "b", "c"].map((id) => sampleOf(id, "1.jpg", 1, [-20])) as [
    EncodedSample,
    EncodedSample,
    EncodedSample,
  ];
  expect([...sharedKeys([a, b, a, b, a, c])]).toEqual([0, 0, 1, 1, 2, 0]);
  expect([...sharedKeys([a, { ...a, images: [], imageRuns: [] }])]).toEqual([0, -1]);
});
