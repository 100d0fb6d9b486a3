import { expect, it } from "vitest";
import { differences, refuseChanged } from "./inputs.ts";

it("names every key that differs, with what it was and is", () => {
  const then = { seed: 1, stages: { align: { batch_size: 4, betas: [0.9, 0.999] } }, gone: true };
  const now = { seed: 1, stages: { align: { batch_size: 8, betas: [0.9, 0.99] } }, fresh: null };
  expect(differences(then, now)).toEqual([
    "stages.align.batch_size 4 → 8",
    "stages.align.betas.1 0.999 → 0.99",
    "gone true → (none)",
    "fresh (none) → null",
  ]);
  expect(differences(then, structuredClone(then))).toEqual([]);
});

it("refuses a change, digests shortened, and looks only at what is known so far", () => {
  const [a, b] = ["a".repeat(64), "b".repeat(64)];
  const then = { data: { align: { sha256: a } }, pictures: { align: a } };
  expect(() => refuseChanged("c", then, { data: { align: { sha256: a } } })).not.toThrow();
  expect(() => refuseChanged("c", then, { data: { align: { sha256: b } } })).toThrow(
    expect.objectContaining({
      code: "RESUME_CHANGED",
      exitCode: 2,
      details: expect.objectContaining({ got: "data.align.sha256 aaaaaaaa → bbbbbbbb", where: "c" }) as object,
    }),
  );
  const many = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`k${i}`, i]));
  expect(() => refuseChanged("c", many, Object.fromEntries(Object.keys(many).map((key) => [key, -1])))).toThrow(
    /k7 7 → -1 and 2 more/,
  );
});
