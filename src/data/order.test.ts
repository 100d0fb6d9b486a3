import fc from "fast-check";
import { expect, it } from "vitest";
import { epochOrder } from "./order.ts";

it("is a permutation that its arguments alone decide", () => {
  fc.assert(
    fc.property(fc.integer(), fc.nat(20), fc.nat(300), (seed, epoch, count) => {
      const order = epochOrder(seed, epoch, count);
      expect([...order].toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
      expect(epochOrder(seed, epoch, count)).toEqual(order);
    }),
  );
});

it("differs between seeds and epochs", () => {
  const orders = [
    [0, 0],
    [0, 1],
    [1, 0],
  ].map(([seed, epoch]) => epochOrder(seed!, epoch!, 100).join());
  expect(new Set(orders).size).toBe(3);
});

it("puts every element everywhere equally often", () => {
  const counts = new Int32Array(16);
  for (let seed = 0; seed < 8000; seed++) {
    const order = epochOrder(seed, 0, 4);
    order.forEach((element, place) => (counts[element * 4 + place]! += 1));
  }
  for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(240);
});
