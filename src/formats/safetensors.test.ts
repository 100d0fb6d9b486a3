// safetensors: files of the reference, round trips, and what must be refused.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lab } from "../../test/lab.ts";
import { memorySource, type ByteStream } from "./byte-source.ts";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "./half.ts";
import { extremeLengths, refusesEveryCut, survives, survivesMutations } from "./hostile.fixture.ts";
import { openFile } from "./node.ts";
import { readSafetensors } from "./safetensors.ts";
import { encodeSafetensors, type SafetensorsEntry } from "./safetensors-write.ts";

const golden = new Uint8Array(readFileSync(new URL("goldens/small.safetensors", import.meta.url)));

async function collect({ size, chunks }: ByteStream): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  const bytes = Buffer.concat(all);
  expect(bytes.length).toBe(size);
  return bytes;
}

function fileOf(header: string, data: number | Uint8Array = 0): Uint8Array {
  const json = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, typeof data === "number" ? Buffer.alloc(data) : data]);
}

async function readAll(bytes: Uint8Array): Promise<void> {
  const file = await readSafetensors(memorySource(bytes));
  for (const name of file.tensors.keys()) await file.load(name);
}

describe("readSafetensors", () => {
  it("reads what the reference wrote", async () => {
    const file = await readSafetensors(memorySource(golden));
    expect([...file.metadata].toSorted()).toEqual([
      ["author", "grüße"],
      ["format", "pt"],
    ]);
    expect(file.tensors.get("matrix")).toMatchObject({ dtype: "F32", shape: [2, 3], byteLength: 24 });
    expect([...(await file.loadFloat32("matrix"))]).toEqual([0, 1, 2, 3, 4, 5]);
    expect([...(await file.loadFloat32("half"))]).toEqual([1.5, -2, 65504]);
    expect([...(await file.loadFloat32("scalar"))]).toEqual([0.25]);
    expect(file.tensors.get("scalar")?.shape).toEqual([]);
    expect(await file.loadFloat32("empty")).toHaveLength(0);
    expect([...new BigInt64Array((await file.load("ids")).bytes.buffer)]).toEqual([-100n, 500n]);
    expect([...(await file.load("flags")).bytes]).toEqual([1, 0, 1]);
    await expect(file.load("none")).rejects.toMatchObject({ code: "TENSOR_MISSING" });
    await expect(file.loadFloat32("ids")).rejects.toMatchObject({ code: "TENSOR_DTYPE" });
  });

  const f32 = (begin: number, end: number, shape = [(end - begin) / 4]): string =>
    JSON.stringify({ dtype: "F32", shape, data_offsets: [begin, end] });

  it.each([
    ["cut off data", fileOf(`{"a":${f32(0, 8)}}`, 7), "SAFETENSORS_INVALID"],
    ["bytes behind the last tensor", fileOf(`{"a":${f32(0, 8)}}`, 9), "SAFETENSORS_INVALID"],
    ["overlapping tensors", fileOf(`{"a":${f32(0, 8)},"b":${f32(4, 12)}}`, 12), "SAFETENSORS_INVALID"],
    ["the same bytes twice", fileOf(`{"a":${f32(0, 8)},"b":${f32(0, 8)}}`, 8), "SAFETENSORS_INVALID"],
    ["a gap", fileOf(`{"a":${f32(0, 4)},"b":${f32(8, 12)}}`, 12), "SAFETENSORS_INVALID"],
    ["data that begin late", fileOf(`{"a":${f32(4, 8)}}`, 8), "SAFETENSORS_INVALID"],
    ["a shape of another size", fileOf(`{"a":${f32(0, 8, [3])}}`, 8), "SAFETENSORS_INVALID"],
    ["a shape beyond 2^53", fileOf(`{"a":${f32(0, 8, [2 ** 40, 2 ** 40])}}`, 8), "SAFETENSORS_INVALID"],
    [
      "a shape that overflows to the right size",
      fileOf(`{"a":${f32(0, 0, [2 ** 32, 2 ** 32])}}`),
      "SAFETENSORS_INVALID",
    ],
    [
      "a size that only rounds to a safe one",
      fileOf('{"a":{"dtype":"U8","shape":[9007199254740993],"data_offsets":[0,9007199254740993]}}'),
      "SAFETENSORS_INVALID",
    ],
    ["offsets in reverse", fileOf('{"a":{"dtype":"U8","shape":[],"data_offsets":[1,0]}}', 1), "SAFETENSORS_INVALID"],
    ["negative sizes", fileOf('{"a":{"dtype":"U8","shape":[-1,-1],"data_offsets":[0,1]}}', 1), "JSON_INVALID"],
    ["fractions", fileOf('{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}', 1), "JSON_INVALID"],
    ["three offsets", fileOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}}', 1), "SAFETENSORS_INVALID"],
    ["an unknown dtype", fileOf('{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,1]}}', 1), "SAFETENSORS_INVALID"],
    [
      "an inherited dtype",
      fileOf('{"a":{"dtype":"toString","shape":[1],"data_offsets":[0,1]}}', 1),
      "SAFETENSORS_INVALID",
    ],
    ["no shape", fileOf('{"a":{"dtype":"U8","data_offsets":[0,1]}}', 1), "SAFETENSORS_INVALID"],
    ["an entry that is a list", fileOf('{"a":[]}'), "SAFETENSORS_INVALID"],
    ["metadata of numbers", fileOf('{"__metadata__":{"a":1}}'), "SAFETENSORS_INVALID"],
    ["metadata that are no object", fileOf('{"__metadata__":"a"}'), "SAFETENSORS_INVALID"],
    ["repeated names", fileOf(`{"a":${f32(0, 4)},"a":${f32(0, 4)}}`, 4), "JSON_DUPLICATE_KEY"],
    [
      "repeated keys",
      fileOf('{"a":{"dtype":"U8","shape":[2],"shape":[1],"data_offsets":[0,1]}}', 1),
      "JSON_DUPLICATE_KEY",
    ],
    ["a header that is a list", fileOf("[]"), "SAFETENSORS_INVALID"],
    ["a header that starts with a space", fileOf(" {}"), "SAFETENSORS_INVALID"],
    ["a header that is not UTF-8", fileOf("{}", 0).with(8, 0xff), "SAFETENSORS_INVALID"],
    ["a header cut off", fileOf('{"a":'), "JSON_INVALID"],
    ["a header longer than the file", fileOf("{}").with(1, 1), "SAFETENSORS_INVALID"],
    ["nothing at all", new Uint8Array(0), "SAFETENSORS_INVALID"],
  ])("refuses %s", async (_what, bytes, code) => {
    expect(await survives(readAll, bytes)).toBe(code);
  });

  it("accepts what the reference accepts", async () => {
    const valid = [
      fileOf("{}   \n"),
      fileOf('{"__metadata__":{}}'),
      fileOf(
        '{"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2],"more":1}}',
        3,
      ),
      fileOf(`{"a":${f32(0, 0, [0, 7])},"b":${f32(0, 0, [0])},"__proto__":${f32(0, 4)}}`, 4),
    ];
    for (const bytes of valid) expect(await survives(readAll, bytes)).toBeUndefined();
    const file = await readSafetensors(memorySource(valid[3]!));
    expect([...file.tensors.keys()].toSorted()).toEqual(["__proto__", "a", "b"]);
  });

  it("survives cuts, extreme lengths and mutations", async () => {
    await refusesEveryCut(readAll, golden);
    expect(await extremeLengths(readAll, golden, 64)).toBeGreaterThan(57 * 6);
    await survivesMutations(readAll, golden, 4000);
  });

  it("refuses a header of more than 100 MB before reading it", async () => {
    const read = (offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> => {
      expect([offset, length]).toEqual([0, 8]);
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, 100_000_001n, true);
      return Promise.resolve(bytes);
    };
    await expect(readSafetensors({ name: "memory", size: 2 ** 40, read })).rejects.toMatchObject({
      code: "SAFETENSORS_INVALID",
    });
  });
});

describe("encodeSafetensors", () => {
  const round = {
    F32: (x: Float32Array): Float32Array => x,
    F16: (x: Float32Array): Float32Array => float16ToFloat32(float32ToFloat16(x)),
    BF16: (x: Float32Array): Float32Array => bfloat16ToFloat32(float32ToBfloat16(x)),
  };
  const entry = fc.record({
    name: fc.string({ unit: "grapheme", maxLength: 8 }).filter((name) => name !== "__metadata__"),
    dtype: fc.constantFrom("F32", "F16", "BF16"),
    shape: fc.array(fc.nat(4), { maxLength: 3 }),
    lazy: fc.boolean(),
  });

  it("gives back names, shapes and rounded values", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(entry, { selector: (e) => e.name, maxLength: 6 }), async (specs) => {
        const values = specs.map(({ shape }, i) =>
          Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, j) => (i - 2.3) * (j + 0.1)),
        );
        const entries = specs.map(({ name, dtype, shape, lazy }, i): SafetensorsEntry => {
          const data = values[i]!;
          return { name, dtype, shape, data: lazy ? async () => data : data };
        });
        const file = await readSafetensors(memorySource(await collect(encodeSafetensors(entries, { format: "pt" }))));
        expect(file.metadata).toEqual(new Map([["format", "pt"]]));
        expect(file.tensors.size).toBe(specs.length);
        for (const [i, { name, dtype, shape }] of specs.entries()) {
          expect(file.tensors.get(name)).toMatchObject({ dtype, shape });
          expect(await file.loadFloat32(name)).toEqual(round[dtype](values[i]!));
        }
      }),
      { numRuns: 100 },
    );
  });

  it("keeps order and aligns every tensor to its elements", async () => {
    const bytes = await collect(
      encodeSafetensors([
        { name: "flags", dtype: "BOOL", shape: [3], data: Uint8Array.of(1, 0, 1) },
        { name: "10", dtype: "F32", shape: [1], data: Float32Array.of(3) },
        { name: "2", dtype: "F32", shape: [1], data: Float32Array.of(4) },
        { name: "ids", dtype: "I64", shape: [1], data: BigInt64Array.of(-7n) },
        { name: "raw", dtype: "F16", shape: [1], data: Uint16Array.of(0x3c00) },
      ]),
    );
    const { tensors } = await readSafetensors(memorySource(bytes));
    expect([...tensors.keys()]).toEqual(["ids", "10", "2", "raw", "flags"]);
    expect([...tensors.values()].map((info) => info.byteOffset % 8)).toEqual([0, 0, 4, 0, 2]);
    // repeated with the tensors taken in file order, the bytes are the same
    const again = [...tensors].map(([name, { byteOffset, byteLength, dtype, shape }]): SafetensorsEntry => {
      return { name, dtype, shape, data: bytes.subarray(byteOffset, byteOffset + byteLength) };
    });
    expect(await collect(encodeSafetensors(again))).toEqual(bytes);
  });

  it("refuses entries that contradict themselves", async () => {
    const one = { name: "a", dtype: "F32", shape: [1], data: Float32Array.of(1) } as const;
    const refused = expect.objectContaining({ code: "SAFETENSORS_ENTRY" });
    expect(() => encodeSafetensors([one, one])).toThrow(refused);
    expect(() => encodeSafetensors([{ ...one, name: "__metadata__" }])).toThrow(refused);
    await expect(collect(encodeSafetensors([{ ...one, shape: [2] }]))).rejects.toEqual(refused);
    await expect(collect(encodeSafetensors([{ ...one, dtype: "I32" }]))).rejects.toEqual(refused);
    await expect(collect(encodeSafetensors([{ ...one, data: Uint8Array.of(1) }]))).rejects.toEqual(refused);
  });
});

describe.skipIf(!lab.present)("with the lab's models (needs ../shared)", () => {
  it.each([
    "models/vit-tiny-patch16-224/model.safetensors",
    "models/tinystories-656k-llama/model.safetensors",
    "goldens/llava-clip-untied/golden.safetensors",
  ])("opens %s", async (path) => {
    const source = await openFile(lab.path(path));
    const file = await readSafetensors(source);
    expect(file.tensors.size).toBeGreaterThan(10);
    for (const [name, { dtype, shape }] of file.tensors) {
      if (dtype !== "F32" && dtype !== "F16") continue;
      const values = await file.loadFloat32(name);
      expect(values.length).toBe(shape.reduce((a, b) => a * b, 1));
      expect(values.every(Number.isFinite), name).toBe(true);
    }
    await source.close();
  });
});
