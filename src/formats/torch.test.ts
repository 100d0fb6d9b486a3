// PyTorch's files: every tensor as torch has it, and nothing in them is executed or believed.
import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { LlavaError } from "../errors.ts";
import { memorySource } from "./byte-source.ts";
import { readTorch } from "./torch.ts";
import { readZip } from "./zip.ts";

const golden = (name: string): URL => new URL(`../../test/golden/${name}`, import.meta.url);
let bytes: Uint8Array;
beforeAll(async () => {
  bytes = new Uint8Array(await readFile(golden("torch-tiny.bin")));
});

describe("a state dict", () => {
  it("has torch's shapes and values, views and transposed ones too", async () => {
    const { shapes, values } = JSON.parse(await readFile(golden("torch-tiny.json"), "utf8")) as {
      shapes: Record<string, number[]>;
      values: Record<string, number[]>;
    };
    const file = await readTorch(memorySource(bytes));
    expect(Object.fromEntries([...file.tensors].map(([name, { shape }]) => [name, shape]))).toEqual(shapes);
    for (const [name, expected] of Object.entries(values)) {
      if (name === "counts") continue;
      expect([name, [...(await file.loadFloat32(name))]]).toEqual([name, expected.map(Math.fround)]);
    }
    await expect(file.loadFloat32("counts")).rejects.toMatchObject({ code: "TENSOR_DTYPE" });
    await expect(file.loadFloat32("none")).rejects.toMatchObject({ code: "TENSOR_MISSING" });
  });

  it("inside what training scripts save is found, under the keys that lead to it", async () => {
    const file = await readTorch(memorySource(new Uint8Array(await readFile(golden("torch-training.bin")))));
    const facts = [...file.tensors].map(([name, { dtype, shape, byteLength }]) => [name, dtype, shape, byteLength]);
    expect(facts).toEqual([
      ["model.weight", "F16", [2, 2], 8],
      ["optimizer.state.0.step", "F32", [], 4],
      ["optimizer.state.0.exp_avg", "F32", [2, 2], 16],
    ]);
  });

  it.each([
    // {"a": {"a": {…}}} of one dict that holds itself: EMPTY_DICT, BINPUT 0, "a", BINGET 0, SETITEM
    ["a dict in itself", Uint8Array.of(0x80, 2, 0x7d, 0x71, 0, 0x8c, 1, 0x61, 0x68, 0, 0x73, 0x2e), /dicts inside/],
    [
      "a long name",
      Uint8Array.of(0x80, 2, 0x7d, 0x58, 0xe9, 3, 0, 0, ...Array(1001).fill(0x61), 0x4e, 0x73, 0x2e),
      /names of/,
    ],
    ["a list", Uint8Array.of(0x80, 2, 0x5d, 0x2e), /a dict of names/],
  ])("with %s is refused", async (_, pickle, message) => {
    const read = readTorch(memorySource(archive("x/data.pkl", pickle)));
    await expect(read).rejects.toMatchObject({ code: "TORCH_INVALID" });
    await expect(read).rejects.toThrow(message);
  });

  it("that would call something is refused", async () => {
    const hostile = new Uint8Array(await readFile(golden("torch-hostile.bin")));
    await expect(readTorch(memorySource(hostile))).rejects.toMatchObject({
      code: "PICKLE_REFUSED",
      details: { got: expect.stringContaining("print") as string },
    });
  });

  it("of old versions is refused with what to do", async () => {
    await expect(readTorch(memorySource(Uint8Array.of(0x80, 2, 0x8a)))).rejects.toMatchObject({
      code: "TORCH_INVALID",
    });
  });
});

describe("damaged files", () => {
  it("give tensors or typed errors, wherever bytes change", async () => {
    const damage = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(damage, async (changes) => {
        const copy = bytes.slice();
        for (const [at, value] of changes) copy[at] = value;
        await readAll(copy);
      }),
      { numRuns: 300 },
    );
  });

  it("give typed errors wherever they are cut off", async () => {
    for (let end = 0; end < bytes.length; end += 37) {
      await expect(readTorch(memorySource(bytes.slice(0, end)))).rejects.toBeInstanceOf(LlavaError);
    }
  });
});

/** A ZIP archive of one stored file. */
function archive(name: string, content: Uint8Array): Uint8Array {
  const [local, central, end] = [Buffer.alloc(30), Buffer.alloc(46), Buffer.alloc(22)];
  local.writeUInt32LE(0x04034b50);
  central.writeUInt32LE(0x02014b50);
  for (const [header, at] of [
    [local, 18],
    [central, 20],
  ] as const) {
    header.writeUInt32LE(content.length, at);
    header.writeUInt32LE(content.length, at + 4);
    header.writeUInt16LE(name.length, at + 8);
  }
  end.writeUInt32LE(0x06054b50);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(46 + name.length, 12);
  end.writeUInt32LE(30 + name.length + content.length, 16);
  return new Uint8Array(Buffer.concat([local, Buffer.from(name), content, central, Buffer.from(name), end]));
}

async function readAll(content: Uint8Array): Promise<void> {
  try {
    const file = await readTorch(memorySource(content));
    for (const name of file.tensors.keys()) await file.loadFloat32(name);
  } catch (error) {
    expect(error).toBeInstanceOf(LlavaError);
  }
}

it("an archive lists its files with their bytes", async () => {
  const entries = await readZip(memorySource(bytes));
  const pickle = [...entries].find(([name]) => name.endsWith("/data.pkl"))!;
  expect(bytes[pickle[1].byteOffset]).toBe(0x80);
});
