// The protobuf wire format: known encodings from the specification, round trips, hostile bytes.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InputError } from "../errors.ts";
import { ProtoWriter, readProto } from "./protobuf.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const read = (bytes: Uint8Array): (readonly [number, bigint | string])[] =>
  [...readProto(bytes)].map(({ field, value }) => [field, typeof value === "bigint" ? value : hex(value)]);

describe("ProtoWriter", () => {
  it("writes the examples of the specification", () => {
    expect(hex(new ProtoWriter().varint(1, 150).finish())).toBe("089601");
    expect(hex(new ProtoWriter().string(2, "testing").finish())).toBe("120774657374696e67");
    expect(hex(new ProtoWriter().message(3, (w) => w.varint(1, 150)).finish())).toBe("1a03089601");
    expect(hex(new ProtoWriter().packedVarints(6, [3, 270, 86942]).finish())).toBe("3206038e029ea705");
    expect(hex(new ProtoWriter().varint(1, -2).finish())).toBe("08feffffffffffffffff01");
    expect(hex(new ProtoWriter().float(5, 1).finish())).toBe("2d0000803f");
    expect(hex(new ProtoWriter().double(1, 1).finish())).toBe("09000000000000f03f");
    expect(hex(new ProtoWriter().packedFloats(7, [1, -2]).finish())).toBe("3a080000803f000000c0");
    expect(hex(new ProtoWriter().packedFloats(7, []).packedVarints(6, []).finish())).toBe("");
  });

  it("gives back every 64-bit integer", () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
        fc.integer({ min: 1, max: 2 ** 29 - 1 }),
        (n, field) => {
          expect(read(new ProtoWriter().varint(field, n).finish())).toEqual([[field, BigInt.asUintN(64, n)]]);
        },
      ),
    );
    fc.assert(
      fc.property(fc.maxSafeInteger(), (n) => {
        expect(new ProtoWriter().varint(1, n).finish()).toEqual(new ProtoWriter().varint(1, BigInt(n)).finish());
      }),
    );
  });

  it("nests messages around payloads of every size", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 12_000 }), { maxLength: 8 }),
        fc.integer({ min: 0, max: 5 }),
        (sizes, depth) => {
          const payloads = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));
          const nest = (w: ProtoWriter, left: number): void => {
            for (const payload of payloads) w.bytes(1, payload);
            if (left > 0) w.message(2, (child) => nest(child, left - 1));
          };
          const root = new ProtoWriter();
          nest(root, depth);
          let bytes = root.finish();
          for (let level = depth; level >= 0; level--) {
            const fields = [...readProto(bytes)];
            const found = fields.filter((f) => f.field === 1).map((f) => f.value as Uint8Array);
            expect(found.map((value, i) => Buffer.compare(value, payloads[i]!))).toEqual(payloads.map(() => 0));
            const inner = fields.find((f) => f.field === 2)?.value;
            expect(inner !== undefined).toBe(level > 0);
            if (inner instanceof Uint8Array) bytes = inner;
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it("refuses what the wire cannot hold", () => {
    for (const n of [1.5, NaN, 2 ** 53, -(2 ** 53), 2n ** 64n, -(2n ** 63n) - 1n]) {
      expect(() => new ProtoWriter().varint(1, n)).toThrow(expect.objectContaining({ code: "PROTOBUF_INTEGER" }));
    }
    for (const field of [0, -1, 1.5, 2 ** 29]) {
      expect(() => new ProtoWriter().varint(field, 1)).toThrow(expect.objectContaining({ code: "PROTOBUF_FIELD" }));
    }
    const half = new Uint8Array(2 ** 30);
    const writer = new ProtoWriter().bytes(1, half).bytes(1, half);
    expect(() => writer.finish()).toThrow(expect.objectContaining({ code: "PROTOBUF_SIZE" }));
  });
});

describe("readProto", () => {
  it("ends every byte string in fields or a typed error", () => {
    const seed = new ProtoWriter()
      .varint(1, 300)
      .message(2, (w) => w.string(1, "layer").float(2, 3))
      .packedVarints(3, [1, 128])
      .finish();
    const survives = (bytes: Uint8Array): void => {
      try {
        for (const { value } of readProto(bytes))
          if (typeof value !== "bigint") expect(value.length).toBeLessThan(bytes.length);
      } catch (error) {
        expect(error).toBeInstanceOf(InputError);
        expect(error).toMatchObject({ code: "PROTOBUF_INVALID" });
      }
    };
    for (let cut = 0; cut < seed.length; cut++) survives(seed.subarray(0, cut));
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), survives), { numRuns: 3000 });
    for (const bad of [
      "0a05aa",
      "08ffffffffffffffffffff01",
      "0b",
      "0001",
      "0d0000",
      "0900",
      "0affffffffffffffffff01",
    ]) {
      expect(() => read(Buffer.from(bad, "hex")), bad).toThrow(expect.objectContaining({ code: "PROTOBUF_INVALID" }));
    }
  });
});
