// Lines out of chunks cut anywhere.
import fc from "fast-check";
import { expect, it } from "vitest";
import { type BatchLine, splitLines } from "./lines.ts";

async function linesOf(...chunks: Uint8Array[]): Promise<BatchLine[]> {
  const lines: BatchLine[] = [];
  const stream = (async function* () {
    yield* chunks;
  })();
  for await (const line of splitLines(stream)) lines.push(line);
  return lines;
}

it("are what split would give, numbered, however the bytes come", async () => {
  const text = fc
    .array(fc.string({ unit: "grapheme" }).map((line) => line.replaceAll(/[\n\uFEFF]/g, "")))
    .map((all) => all.join("\n"));
  await fc.assert(
    fc.asyncProperty(text, fc.array(fc.nat({ max: 200 })), async (whole, cuts) => {
      const bytes = Buffer.from(whole);
      const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort((a, b) => a - b);
      const chunks = ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
      const expected = whole.split("\n");
      if (expected.at(-1) === "") expected.pop();
      expect(await linesOf(...chunks)).toEqual(expected.map((each, i) => ({ number: i + 1, text: each })));
    }),
  );
});

it("may be wrong without taking the next with them", async () => {
  const long = Buffer.alloc(3 * 2 ** 20, "a");
  const lines = await linesOf(
    long.subarray(0, 2 ** 20),
    long,
    Buffer.from("\n"),
    Buffer.of(0xff, 10),
    Buffer.from("ok"),
  );
  expect(lines).toEqual([
    { number: 1, problem: "a line of at most 1048576 bytes" },
    { number: 2, problem: "UTF-8" },
    { number: 3, text: "ok" },
  ]);
});
