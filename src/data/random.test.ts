import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { random, randomFrom } from "./random.ts";

describe("random", () => {
  it("equals the authors' C program from state 1, 2, 3, 4", () => {
    const stream = randomFrom([1, 2, 3, 4]);
    expect(Array.from({ length: 10 }, () => stream.next())).toEqual([
      11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
    ]);
  });

  it("never changes for given keys: orders and facts of earlier runs depend on it", () => {
    const stream = random(0, "facts", "000000001");
    expect([stream.next(), stream.next(), stream.float(), stream.int(10)]).toMatchInlineSnapshot(`
      [
        2083509262,
        2368827213,
        0.7040807100345281,
        5,
      ]
    `);
  });

  it("gives every key list its own stream", () => {
    const firsts = new Set<string>();
    const keys: (string | number)[][] = [
      [],
      [0],
      [1],
      ["0"],
      [0, 0],
      [-1],
      [0.5],
      ["a", "b"],
      ["ab"],
      ["b", "a"],
      [""],
    ];
    for (let seed = 0; seed < 5000; seed++) keys.push(["order", seed]);
    for (const key of keys) firsts.add(`${random(...key).next()} ${random(...key).int(7)}`);
    expect(firsts.size).toBe(keys.length);
  });

  it("draws integers without favouring any", () => {
    for (const n of [2, 3, 7, 10]) {
      const stream = random("uniform", n);
      const counts = new Int32Array(n);
      for (let i = 0; i < 10_000 * n; i++) counts[stream.int(n)]! += 1;
      // six standard deviations of a binomial count
      for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(600);
    }
  });

  it("draws fractions in [0, 1) with mean one half", () => {
    const stream = random("float");
    let sum = 0;
    for (let i = 0; i < 100_000; i++) {
      const value = stream.float();
      if (value < 0 || value >= 1) expect.fail(`${value}`);
      sum += value;
    }
    expect(Math.abs(sum / 100_000 - 0.5)).toBeLessThan(0.006);
  });

  it("samples different elements and leaves the list as it was", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer()), fc.nat(30), fc.integer(), (list, count, seed) => {
        const before = [...list];
        const drawn = random(seed).sample(list, count);
        expect(list).toEqual(before);
        expect(new Set(drawn).size).toBe(Math.min(count, list.length));
        expect(drawn.every((item) => list.includes(item))).toBe(true);
        expect(random(seed).shuffle(list).toSorted()).toEqual(before.toSorted());
      }),
    );
  });

  it("refuses ranges that have no uniform draw", () => {
    for (const n of [0, -1, 1.5, 2 ** 33, Number.NaN]) {
      expect(() => random(0).int(n)).toThrow(expect.objectContaining({ code: "RANDOM_RANGE" }));
    }
    expect(() => randomFrom([0, 0, 0, 0])).toThrow(expect.objectContaining({ code: "RANDOM_STATE" }));
  });
});
