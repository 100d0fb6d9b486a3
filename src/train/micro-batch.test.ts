import { expect, it } from "vitest";
import { tinyConfig } from "../../test/tiny-model.ts";
import type { EncodedSample } from "../data/encode.ts";
import { buildRow } from "../data/pack.ts";
import { rotationTables } from "../nn/rope.ts";
import { microBatch } from "./micro-batch.ts";
import { randomSample } from "./step.fixture.ts";

const config = tinyConfig();
const c = config.language;

it("lays rows one behind the other, with -1 where no token is looked up", () => {
  const one: EncodedSample = {
    id: "one",
    images: ["a.jpg"],
    ids: Int32Array.of(1, 31, 31, 5, 6),
    labels: Int32Array.of(-100, -100, -100, 5, 6),
    imageRuns: [{ start: 1, length: 2, image: 0 }],
  };
  const two: EncodedSample = {
    id: "two",
    images: [],
    ids: Int32Array.of(7, 8, 9),
    labels: Int32Array.of(7, -100, 9),
    imageRuns: [],
  };
  // row 0: two, one; row 1: one
  const batch = microBatch([buildRow([two, one], 9), buildRow([one], 9)], c);
  expect([...batch.ids]).toEqual([7, 8, 9, 1, -1, -1, 5, 6, -1, 1, -1, -1, 5, 6, -1, -1, -1, -1]);
  expect([...batch.documents]).toEqual([0, 0, 0, 1, 1, 1, 1, 1, -1, 0, 0, 0, 0, 0, -1, -1, -1, -1]);
  expect([...batch.positions.subarray(0, 8)]).toEqual([0, 1, 2, 0, 1, 2, 3, 4]);
  expect(batch.pictures).toEqual([
    { start: 4, length: 2, image: "a.jpg" },
    { start: 10, length: 2, image: "a.jpg" },
  ]);
  // the first token of a document is never a target, whatever its label says
  expect([...batch.targetRows]).toEqual([1, 5, 6, 11, 12]);
  expect([...batch.targetIds]).toEqual([9, 5, 6, 5, 6]);
  expect(batch).toMatchObject({ rows: 2, length: 9, tokens: 13 });
});

it("rotates each token by its place in its own document", () => {
  const samples = [randomSample(config, 1, { length: 11 }), randomSample(config, 2, { length: 9 })];
  const { cos, sin, positions } = microBatch([buildRow(samples, 24)], c);
  const half = c.headSize / 2;
  const expected = rotationTables(positions, c.headSize, c.ropeBase);
  expect(positions[11]).toBe(0);
  expect([cos.length, sin.length]).toEqual([24 * half, 24 * half]);
  expect(cos).toEqual(expected.cos);
  expect(sin).toEqual(expected.sin);
});
