// GGUF: a file of the reference writer, every quantisation against the reference's values, and what must be refused.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lab } from "../../test/lab.ts";
import { memorySource } from "./byte-source.ts";
import { dequantise } from "./gguf-dequantise.ts";
import { unpermuteRows } from "./gguf-rope.ts";
import type { GgufType } from "./gguf-types.ts";
import { readGguf } from "./gguf.ts";
import { extremeLengths, refusesEveryCut, survives, survivesMutations } from "./hostile.fixture.ts";
import { openFile } from "./node.ts";

const golden = new Uint8Array(readFileSync(new URL("goldens/small.gguf", import.meta.url)));

/** Fields of a GGUF file, written by hand. */
const u32 = (n: number): Buffer => Buffer.from(Uint32Array.of(n).buffer);
const u64 = (n: bigint | number): Buffer => Buffer.from(BigUint64Array.of(BigInt(n)).buffer);
const text = (s: string): Buffer => Buffer.concat([u64(Buffer.byteLength(s)), Buffer.from(s)]);
const pair = (key: string, type: number, ...value: Buffer[]): Buffer => Buffer.concat([text(key), u32(type), ...value]);
const info = (name: string, dims: (bigint | number)[], type: number, offset: bigint | number): Buffer =>
  Buffer.concat([text(name), u32(dims.length), ...dims.map(u64), u32(type), u64(offset)]);

interface Parts {
  readonly version?: number;
  readonly pairs?: readonly Buffer[];
  readonly infos?: readonly Buffer[];
  readonly dataBytes?: number;
  readonly alignment?: number;
}

function fileOf({ version = 3, pairs = [], infos = [], dataBytes = 0, alignment = 32 }: Parts): Uint8Array {
  const header = Buffer.concat([
    Buffer.from("GGUF"),
    u32(version),
    u64(infos.length),
    u64(pairs.length),
    ...pairs,
    ...infos,
  ]);
  return Buffer.concat([
    header,
    Buffer.alloc((alignment - (header.length % alignment)) % alignment),
    Buffer.alloc(dataBytes),
  ]);
}

async function readAll(bytes: Uint8Array): Promise<void> {
  const file = await readGguf(memorySource(bytes));
  for (const name of file.tensors.keys()) await file.loadFloat32(name);
}

describe("readGguf", () => {
  it("reads what the reference wrote", async () => {
    const { version, metadata, tensors, loadFloat32 } = await readGguf(memorySource(golden));
    expect(version).toBe(3);
    expect(Object.fromEntries(metadata.values)).toEqual({
      "general.architecture": "llama",
      "n.u8": 200,
      "n.i8": -7,
      "n.u16": 60_000,
      "n.i16": -300,
      "n.u32": 4_000_000_000,
      "n.i32": -70_000,
      "n.u64": 2n ** 63n + 1n,
      "n.i64": -(2 ** 40),
      "n.f32": 0.5,
      "n.f64": 0.1,
      "n.bool": true,
      text: "grüße 👁",
      texts: ["a", "", "ċ"],
      floats: Float32Array.of(0.5, -2),
      ints: Int32Array.of(1, -2, 3),
    });
    expect([...tensors].map(([name, { type, shape }]) => [name, type, shape])).toEqual([
      ["matrix", "F32", [2, 3]],
      ["half", "F16", [1, 3]],
      ["blocks", "Q8_0", [2, 64]],
      ["cube", "F32", [2, 3, 4]],
    ]);
    expect([...(await loadFloat32("matrix"))]).toEqual([0, 1, 2, 3, 4, 5]);
    expect([...(await loadFloat32("half"))]).toEqual([1.5, -2, 65504]);
    expect((await loadFloat32("cube")).at(-1)).toBe(23);
    for (const [i, x] of (await loadFloat32("blocks")).entries()) expect(x).toBeCloseTo(-1 + (2 * i) / 127, 2);
  });

  it("gives metadata by type, and says which key is missing or of another type", async () => {
    const { metadata } = await readGguf(memorySource(golden));
    expect(metadata.number("n.u8")).toBe(200);
    expect(metadata.number("none", 7)).toBe(7);
    expect(metadata.text("text")).toBe("grüße 👁");
    expect(metadata.boolean("n.bool")).toBe(true);
    expect(metadata.texts("texts")).toEqual(["a", "", "ċ"]);
    expect(metadata.numbers("ints")).toEqual([1, -2, 3]);
    const wrong = [
      () => metadata.number("none"),
      () => metadata.number("n.u64"),
      () => metadata.text("n.u8"),
      () => metadata.boolean("text"),
      () => metadata.texts("ints"),
      () => metadata.numbers("texts"),
    ];
    for (const read of wrong) expect(read).toThrow(expect.objectContaining({ code: "GGUF_KEY" }));
  });

  const three = [info("a", [32], 0, 0), info("b", [32], 0, 128)];

  it.each([
    ["another magic", fileOf({}).with(0, 0)],
    ["version 1", fileOf({ version: 1 })],
    ["a big-endian version", fileOf({ version: 0x03000000 })],
    ["a list of 2^63 strings", fileOf({ pairs: [pair("a", 9, u32(8), u64(2n ** 63n))] })],
    ["a list inside a list", fileOf({ pairs: [pair("a", 9, u32(9), u64(1), u32(0), u64(0))] })],
    ["an unknown value type", fileOf({ pairs: [pair("a", 13, u64(0))] })],
    ["a flag of 2", fileOf({ pairs: [pair("a", 7, Buffer.of(2))] })],
    ["text that is not UTF-8", fileOf({ pairs: [pair("a", 8, u64(1), Buffer.of(0xff))] })],
    ["a repeated key", fileOf({ pairs: [pair("a", 4, u32(1)), pair("a", 4, u32(1))] })],
    ["an alignment of 0", fileOf({ pairs: [pair("general.alignment", 4, u32(0))] })],
    ["an alignment of 24", fileOf({ pairs: [pair("general.alignment", 4, u32(24))] })],
    ["an alignment of 2^31", fileOf({ pairs: [pair("general.alignment", 4, u32(2 ** 31))] })],
    ["an alignment of NaN", fileOf({ pairs: [pair("general.alignment", 6, u32(0x7fc00000))] })],
    ["a repeated tensor", fileOf({ infos: [info("a", [32], 0, 0), info("a", [32], 0, 128)], dataBytes: 256 })],
    ["overlapping tensors", fileOf({ infos: [info("a", [64], 0, 0), info("b", [64], 0, 128)], dataBytes: 512 })],
    ["the same bytes twice", fileOf({ infos: [info("a", [32], 0, 0), info("b", [32], 0, 0)], dataBytes: 128 })],
    ["a misaligned tensor", fileOf({ infos: [info("a", [4], 0, 4)], dataBytes: 256 })],
    ["a tensor behind the end", fileOf({ infos: [info("a", [4], 0, 2n ** 40n)], dataBytes: 32 })],
    ["an offset of 2^64 - 32", fileOf({ infos: [info("a", [32], 0, 2n ** 64n - 32n)], dataBytes: 128 })],
    ["a tensor cut off", fileOf({ infos: [info("a", [32], 0, 0)], dataBytes: 127 })],
    [
      "a shape that overflows to a small one",
      fileOf({ infos: [info("a", [2n ** 32n, 2n ** 32n], 0, 0)], dataBytes: 32 }),
    ],
    ["a huge side beside a side of 0", fileOf({ infos: [info("a", [0, 2n ** 63n], 0, 0)], dataBytes: 32 })],
    ["five dimensions", fileOf({ infos: [info("a", [1, 1, 1, 1, 1], 0, 0)], dataBytes: 32 })],
    ["2^32 - 1 dimensions", fileOf({ infos: [Buffer.concat([text("a"), u32(2 ** 32 - 1), u64(1)])], dataBytes: 32 })],
    ["rows that are no whole blocks", fileOf({ infos: [info("a", [48, 2], 3, 0)], dataBytes: 256 })],
    ["a tensor type that was dropped", fileOf({ infos: [info("a", [32], 4, 0)], dataBytes: 256 })],
  ])("refuses %s", async (_what, bytes) => {
    expect(await survives(readAll, bytes)).toBe("GGUF_INVALID");
  });

  it("accepts version 2, gaps, another alignment and empty tensors", async () => {
    const valid = [
      fileOf({ version: 2, infos: three, dataBytes: 256 }),
      fileOf({ infos: [info("a", [1], 0, 64), info("b", [0, 3], 0, 0), info("c", [], 0, 96)], dataBytes: 100 }),
      fileOf({
        pairs: [pair("general.alignment", 4, u32(8))],
        infos: [info("a", [2], 0, 8)],
        dataBytes: 16,
        alignment: 8,
      }),
      fileOf({ pairs: [pair("a", 9, u32(7), u64(2), Buffer.of(0, 1)), pair("b", 9, u32(8), u64(0))] }),
    ];
    for (const bytes of valid) expect(await survives(readAll, bytes)).toBeUndefined();
  });

  it("names types that it cannot compute with, and missing tensors", async () => {
    const file = await readGguf(memorySource(fileOf({ infos: [info("a", [256], 10, 0)], dataBytes: 84 })));
    expect(file.tensors.get("a")).toMatchObject({ type: "Q2_K", byteLength: 84 });
    await expect(file.loadFloat32("a")).rejects.toMatchObject({
      code: "GGUF_UNSUPPORTED",
      details: { where: "memory, tensor a" },
    });
    await expect(file.load("b")).rejects.toMatchObject({ code: "TENSOR_MISSING" });
  });

  it("reads headers longer than its first look, up to a limit", async () => {
    const long = pair("long", 8, text("x".repeat(9_000_000)));
    const { metadata } = await readGguf(memorySource(fileOf({ pairs: [long, pair("last", 4, u32(5))] })));
    expect(metadata.number("last")).toBe(5);
    const many = Array.from({ length: 8 }, (_, i) => pair(`k${i}`, 8, text("x".repeat(9_000_000))));
    expect(await survives(readAll, fileOf({ pairs: many }))).toBe("GGUF_INVALID");
    expect(await survives(readAll, fileOf({ pairs: [pair("k", 8, text("x".repeat(10_000_001)))] }))).toBe(
      "GGUF_INVALID",
    );
  });

  it("survives cuts, extreme lengths and mutations", async () => {
    await refusesEveryCut(readAll, golden);
    expect(await extremeLengths(readAll, golden, golden.length)).toBeGreaterThan(1000);
    await survivesMutations(readAll, golden, 8000);
  });
});

describe("dequantise", () => {
  const goldens = JSON.parse(readFileSync(new URL("goldens/dequantised.json", import.meta.url), "utf8")) as Record<
    GgufType,
    { blocks: string; float32: string }
  >;
  it.each(Object.entries(goldens))("%s equals the gguf package bit for bit", (type, { blocks, float32 }) => {
    const values = dequantise(type as GgufType, Buffer.from(blocks, "base64"), "golden");
    expect(values).toHaveLength(512);
    expect(Buffer.from(values.buffer).toString("base64")).toBe(float32);
  });

  it("widens F32, F16 and BF16, aligned or not", () => {
    const shifted = (bytes: number[]): Uint8Array => Uint8Array.of(0, ...bytes).subarray(1);
    expect([...dequantise("F32", shifted([0, 0, 128, 63]), "t")]).toEqual([1]);
    expect([...dequantise("F16", shifted([0, 0xc0]), "t")]).toEqual([-2]);
    expect([...dequantise("BF16", shifted([0x80, 0x3f]), "t")]).toEqual([1]);
  });
});

describe("unpermuteRows", () => {
  it("undoes the permutation of llama.cpp's converter", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        (heads, pairs, columns) => {
          const rows = heads * pairs * 2;
          const original = Float32Array.from({ length: rows * columns }, (_, i) => i);
          // reshape(heads, 2, pairs, columns).swapaxes(1, 2)
          const permuted: number[] = [];
          for (let h = 0; h < heads; h++)
            for (let i = 0; i < pairs; i++)
              for (let j = 0; j < 2; j++)
                for (let c = 0; c < columns; c++) permuted.push(original[((h * 2 + j) * pairs + i) * columns + c]!);
          expect(unpermuteRows(Float32Array.from(permuted), rows, columns, heads)).toEqual(original);
        },
      ),
    );
    expect([...unpermuteRows(Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7), 8, 1, 2)]).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  });

  it("refuses rows that do not divide into heads", () => {
    for (const [rows, heads] of [
      [6, 2],
      [8, 3],
      [8, 0],
    ] as const) {
      expect(() => unpermuteRows(new Float32Array(rows), rows, 1, heads)).toThrow(
        expect.objectContaining({ code: "ROPE_ROWS" }),
      );
    }
    expect(() => unpermuteRows(new Float32Array(7), 8, 1, 2)).toThrow(expect.objectContaining({ code: "ROPE_ROWS" }));
  });
});

describe.skipIf(!lab.present)("with the lab's SmolLM2 (needs ../shared)", () => {
  it("opens it and dequantises a layer", async () => {
    const source = await openFile(lab.path("models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf"));
    const { metadata, tensors, loadFloat32 } = await readGguf(source);
    expect(metadata.text("general.architecture")).toBe("llama");
    expect(metadata.texts("tokenizer.ggml.tokens")).toHaveLength(49152);
    expect([...tensors.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)).toBe(
      134_515_008,
    );
    expect(tensors.get("blk.0.attn_k.weight")).toMatchObject({ type: "Q4_1", shape: [192, 576] });
    const values = await loadFloat32("blk.0.attn_k.weight");
    expect(values.length).toBe(192 * 576);
    expect(values.every((x) => Math.abs(x) < 10)).toBe(true);
    await source.close();
  });
});
