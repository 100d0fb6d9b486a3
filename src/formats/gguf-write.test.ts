// GGUF that we write, by our reader: fields, alignment, and what each type's blocks are worth.
import { describe, expect, it } from "vitest";
import { random } from "../data/random.ts";
import { type ByteStream, memorySource } from "./byte-source.ts";
import { dequantise } from "./gguf-dequantise.ts";
import { encodeBlocks, type WrittenGgufType, writtenGgufTypes } from "./gguf-quantise.ts";
import { encodeGguf, type GgufEntry, type GgufField } from "./gguf-write.ts";
import { permuteRows, unpermuteRows } from "./gguf-rope.ts";
import { readGguf } from "./gguf.ts";

async function collect({ size, chunks }: ByteStream): Promise<Uint8Array> {
  const out = new Uint8Array(size);
  let at = 0;
  for await (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  expect(at).toBe(size);
  return out;
}

const values = (length: number, scale = 1): Float32Array => {
  const draw = random("gguf", length);
  return Float32Array.from({ length }, () => scale * (draw.float() + draw.float() + draw.float() - 1.5));
};

describe("a file", () => {
  const fields = new Map<string, GgufField>([
    ["general.architecture", { type: "string", value: "llama" }],
    ["a.count", { type: "uint32", value: 4_000_000_000 }],
    ["a.below", { type: "int32", value: [-1, 2] }],
    ["a.real", { type: "float32", value: 0.5 }],
    ["a.reals", { type: "float32", value: [0.25, -8] }],
    ["a.yes", { type: "bool", value: true }],
    ["a.words", { type: "string", value: ["é", "", "▁a"] }],
  ]);
  const entry = (name: string, type: WrittenGgufType, shape: readonly number[]): GgufEntry => ({
    name,
    type,
    shape,
    data: () => Promise.resolve(values(shape.reduce((a, b) => a * b, 1))),
  });

  it.each(["", "a", "ab", "abc", "abcd", "abcde", "abcdefg"])(
    "keeps long lists wherever its own memory has to grow (words of %j)",
    async (word) => {
      const long = new Map<string, GgufField>([
        ["a.words", { type: "string", value: Array.from({ length: 20_000 }, () => word) }],
        ["a.numbers", { type: "uint32", value: Array.from({ length: 40_000 }, (_, i) => i) }],
      ]);
      const { metadata } = await readGguf(memorySource(await collect(encodeGguf(long, []))));
      expect(new Set(metadata.texts("a.words"))).toEqual(new Set([word]));
      expect(metadata.numbers("a.numbers")).toEqual(Array.from({ length: 40_000 }, (_, i) => i));
    },
  );

  it("reads back", async () => {
    const entries = [entry("norm", "F32", [3]), entry("w", "Q8_0", [5, 64]), entry("conv", "F16", [2, 3, 4, 4])];
    const file = await readGguf(memorySource(await collect(encodeGguf(fields, entries))));
    expect(file.version).toBe(3);
    const { metadata } = file;
    expect(metadata.text("general.architecture")).toBe("llama");
    expect(metadata.number("a.count")).toBe(4_000_000_000);
    expect(metadata.numbers("a.below")).toEqual([-1, 2]);
    expect(metadata.number("a.real")).toBe(0.5);
    expect(metadata.numbers("a.reals")).toEqual([0.25, -8]);
    expect(metadata.boolean("a.yes")).toBe(true);
    expect(metadata.texts("a.words")).toEqual(["é", "", "▁a"]);
    expect([...file.tensors].map(([name, { type, shape }]) => [name, type, shape])).toEqual(
      entries.map(({ name, type, shape }) => [name, type, shape]),
    );
    expect([...file.tensors.values()].every(({ byteOffset }) => byteOffset % 32 === 0)).toBe(true);
    expect(await file.loadFloat32("norm")).toEqual(values(3));
  });

  it("has no rows that blocks do not divide", () => {
    expect(() => encodeGguf(fields, [entry("w", "Q4_0", [4, 48])])).toThrow("rows of whole 32s");
  });
});

/** Root mean square error over the values' own root mean square. */
function error(type: WrittenGgufType, x: Float32Array): number {
  const y = dequantise(type, encodeBlocks(type, x), "test");
  const square = (f: (v: number, i: number) => number): number => x.reduce((sum, v, i) => sum + f(v, i) ** 2, 0);
  return Math.sqrt(square((v, i) => v - y[i]!) / square((v) => v));
}

describe("blocks", () => {
  const bounds: Readonly<Record<WrittenGgufType, number>> = {
    F32: 0,
    F16: 3e-4,
    BF16: 3e-3,
    Q8_0: 6e-3,
    Q4_0: 0.1,
    Q4_K: 0.075,
  };
  it.each(writtenGgufTypes)("%s are near what they stand for, at every scale", (type) => {
    for (const scale of [1, 1e-3, 100]) {
      expect(error(type, values(4096, scale))).toBeLessThanOrEqual(bounds[type] * (scale < 1 ? 1.05 : 1));
    }
  });

  it.each(["Q8_0", "Q4_0", "Q4_K"] as const)("%s of zeros, and of one value, are right", (type) => {
    expect(dequantise(type, encodeBlocks(type, new Float32Array(256)), "test").every((v) => v === 0)).toBe(true);
    const same = dequantise(type, encodeBlocks(type, new Float32Array(256).fill(3)), "test");
    expect(Math.max(...same.map((v) => Math.abs(v - 3)))).toBeLessThan(0.01);
    const below = dequantise(type, encodeBlocks(type, new Float32Array(256).fill(-3)), "test");
    expect(Math.max(...below.map((v) => Math.abs(v + 3)))).toBeLessThan(0.01);
  });

  it("Q4_0 values come back from their own blocks unchanged", () => {
    const once = dequantise("Q4_0", encodeBlocks("Q4_0", values(512)), "test");
    expect(dequantise("Q4_0", encodeBlocks("Q4_0", once), "test")).toEqual(once);
  });
});

it("rows go to llama.cpp's order and back", () => {
  const x = values(8 * 6 * 5);
  const there = permuteRows(x, 48, 5, 4);
  expect(there).not.toEqual(x);
  expect(unpermuteRows(there, 48, 5, 4)).toEqual(x);
  // within a head of six rows, 0 1 2 | 3 4 5 are interleaved
  const column = Float32Array.of(0, 1, 2, 3, 4, 5);
  expect([...permuteRows(column, 6, 1, 1)]).toEqual([0, 3, 1, 4, 2, 5]);
});
