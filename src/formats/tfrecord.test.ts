// CRC-32C against RFC 3720's examples; a record's frame around data of any size.
import fc from "fast-check";
import { expect, it } from "vitest";
import { crc32c } from "./crc32c.ts";
import { encodeTfRecord } from "./tfrecord.ts";

it("computes the examples of RFC 3720 (B.4)", () => {
  const filled = (value: (i: number) => number): Uint8Array => Uint8Array.from({ length: 32 }, (_, i) => value(i));
  expect(crc32c(filled(() => 0))).toBe(0x8a9136aa);
  expect(crc32c(filled(() => 255))).toBe(0x62a8ab43);
  expect(crc32c(filled((i) => i))).toBe(0x46dd794e);
  expect(crc32c(filled((i) => 31 - i))).toBe(0x113fdb5c);
  expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
});

it("frames data with its length and checksums that can be unmasked", () => {
  const unmask = (masked: number): number => {
    const rotated = (masked - 0xa282ead8) >>> 0;
    return ((rotated >>> 17) | (rotated << 15)) >>> 0;
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
      const record = encodeTfRecord(data);
      const view = new DataView(record.buffer);
      expect(Number(view.getBigUint64(0, true))).toBe(data.length);
      expect(unmask(view.getUint32(8, true))).toBe(crc32c(record.subarray(0, 8)));
      expect(record.subarray(12, -4)).toEqual(data);
      expect(unmask(view.getUint32(record.length - 4, true))).toBe(crc32c(data));
    }),
  );
});
