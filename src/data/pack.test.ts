import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { IGNORE_LABEL } from "../text/expand.ts";
import { learnedTokens, type EncodedSample } from "./encode.ts";
import { buildRow, packRows, targetsOf } from "./pack.ts";

const ROW = 40;
const lengths = fc.array(fc.integer({ min: 1, max: ROW }), { maxLength: 60 });

/** Samples with unique ids per token, so that every token can be found again. */
const samples: fc.Arbitrary<EncodedSample[]> = fc
  .array(
    fc.record({ learned: fc.array(fc.boolean(), { minLength: 1, maxLength: ROW }), at: fc.nat(ROW), run: fc.nat(5) }),
    {
      maxLength: 30,
    },
  )
  .map((list) => {
    let token = 1000;
    return list.map(({ learned, at, run }, i) => {
      const ids = Int32Array.from(learned, () => token++);
      const labels = ids.map((id, t) => (learned[t] ? id : IGNORE_LABEL));
      const imageRuns = at + run <= ids.length && run > 0 ? [{ start: at, length: run, image: 0 }] : [];
      return { id: String(i), ids, labels, imageRuns, images: [`${i}.jpg`] };
    });
  });

describe("packRows", () => {
  it("loses nothing, repeats nothing, overflows no row", () => {
    fc.assert(
      fc.property(lengths, (list) => {
        const rows = packRows(list, ROW);
        expect(rows.flat().toSorted((a, b) => a - b)).toEqual(list.map((_, i) => i));
        for (const row of rows) expect(row.reduce((sum, i) => sum + list[i]!, 0)).toBeLessThanOrEqual(ROW);
        expect(packRows(list, ROW)).toEqual(rows);
      }),
    );
  });

  it("is first-fit decreasing, as the plain definition says", () => {
    fc.assert(
      fc.property(lengths, (list) => {
        const rows: number[][] = [];
        const used: number[] = [];
        for (const i of list.map((_, i) => i).toSorted((a, b) => list[b]! - list[a]! || a - b)) {
          let row = used.findIndex((n) => n + list[i]! <= ROW);
          if (row < 0) row = rows.push([]) - 1;
          rows[row]!.push(i);
          used[row] = (used[row] ?? 0) + list[i]!;
        }
        expect(packRows(list, ROW)).toEqual(rows.map((row) => row.toSorted((a, b) => a - b)));
      }),
    );
  });

  it("packs 200,000 documents in well under a second or two", () => {
    const many = Int32Array.from({ length: 200_000 }, (_, i) => 20 + ((i * 7919) % 400));
    const started = performance.now();
    const rows = packRows(many, 512);
    expect(performance.now() - started).toBeLessThan(5000);
    expect((rows.length * 512) / many.reduce((a, b) => a + b)).toBeLessThan(1.02);
  });

  it("refuses a document that fits no row, and one without tokens", () => {
    expect(() => packRows([3, 41], ROW)).toThrow(expect.objectContaining({ code: "ROW_TOO_SHORT", exitCode: 2 }));
    expect(() => packRows([0], ROW)).toThrow(expect.objectContaining({ code: "PACK_LENGTH" }));
    expect(packRows([], ROW)).toEqual([]);
  });
});

describe("buildRow", () => {
  it("keeps each document whole, with places from 0 and its pictures in place", () => {
    fc.assert(
      fc.property(samples, (list) => {
        for (const members of packRows(
          list.map((s) => s.ids.length),
          ROW,
        )) {
          const documents = members.map((i) => list[i]!);
          const row = buildRow(documents, ROW, 7);
          let start = 0;
          documents.forEach((sample, d) => {
            const end = start + sample.ids.length;
            expect(row.ids.subarray(start, end)).toEqual(sample.ids);
            expect(row.labels.subarray(start, end)).toEqual(sample.labels);
            expect(row.documents.subarray(start, end).every((n) => n === d)).toBe(true);
            expect([...row.positions.subarray(start, end)]).toEqual([...sample.ids.keys()]);
            expect(row.images.filter((image) => image.document === d)).toEqual(
              sample.imageRuns.map((run) => ({
                ...run,
                image: sample.images[0],
                start: run.start + start,
                document: d,
              })),
            );
            start = end;
          });
          expect(row.ids.subarray(start).every((id) => id === 7)).toBe(true);
          expect(row.labels.subarray(start).every((id) => id === IGNORE_LABEL)).toBe(true);
          expect(row.documents.subarray(start).every((n) => n === -1)).toBe(true);
        }
      }),
    );
  });

  it("refuses what does not fit", () => {
    const sample = { id: "a", ids: new Int32Array(30), labels: new Int32Array(30), imageRuns: [], images: [] };
    expect(() => buildRow([sample, sample], ROW)).toThrow(expect.objectContaining({ code: "ROW_TOO_SHORT" }));
  });
});

describe("targetsOf", () => {
  it("has every learned token once, one place behind, except a document's first", () => {
    fc.assert(
      fc.property(samples, (list) => {
        const rows = packRows(
          list.map((s) => s.ids.length),
          ROW,
        ).map((members) =>
          buildRow(
            members.map((i) => list[i]!),
            ROW,
          ),
        );
        const found = rows.flatMap((row) => {
          const { positions, ids } = targetsOf(row);
          expect([...ids]).toEqual([...positions].map((t) => row.ids[t + 1]));
          for (const t of positions) expect(row.documents[t]).toBe(row.documents[t + 1]);
          return [...ids];
        });
        const learned = list.flatMap((sample) => [...sample.labels.subarray(1)].filter((id) => id !== IGNORE_LABEL));
        expect(found.toSorted((a, b) => a - b)).toEqual(learned);
        expect(list.reduce((sum, sample) => sum + learnedTokens(sample), 0)).toBe(found.length);
      }),
    );
  });
});
