// Headers of whole, cut, lying and foreign files.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InputError } from "../errors.ts";
import { checkLimits, defaultLimits, type PictureHeader, readHeader } from "./header.ts";

const ascii = (text: string): number[] => Array.from(text, (letter) => letter.charCodeAt(0));
const u16 = (n: number): number[] => [n >>> 8, n & 255];
const u32 = (n: number): number[] => [...u16(n >>> 16), ...u16(n & 0xffff)];
const u24le = (n: number): number[] => [n & 255, (n >> 8) & 255, n >> 16];

const pngStart = [0x89, ...ascii("PNG\r\n\x1a\n")];
function png(width: number, height: number, extra: readonly number[] = []): Uint8Array {
  const header = [...u32(13), ...ascii("IHDR"), ...u32(width), ...u32(height), 8, 2, 0, 0, 0, ...u32(0)];
  return Uint8Array.from([...pngStart, ...header, ...extra, ...u32(0), ...ascii("IDAT")]);
}

function jpeg(width: number, height: number, before: readonly number[] = [], components = 3): Uint8Array {
  const frame = [0xff, 0xc0, ...u16(8), 8, ...u16(height), ...u16(width), components];
  return Uint8Array.from([0xff, 0xd8, ...before, ...frame, 0xff, 0xda]);
}

function gif(width: number, height: number): Uint8Array {
  return Uint8Array.from([...ascii("GIF89a"), width & 255, width >> 8, height & 255, height >> 8]);
}

function webp(kind: string, payload: readonly number[]): Uint8Array {
  return Uint8Array.from([...ascii("RIFF"), 40, 0, 0, 0, ...ascii("WEBP"), ...ascii(kind), 10, 0, 0, 0, ...payload]);
}

/** An EXIF block with one entry. */
function exif(value: number, little: boolean, tag = 0x0112, type = 3): number[] {
  const order = (bytes: number[]): number[] => (little ? bytes.toReversed() : bytes);
  const head = [...ascii(little ? "II" : "MM"), ...order(u16(42)), ...order(u32(8)), ...order(u16(1))];
  return [...head, ...order(u16(tag)), ...order(u16(type)), ...order(u32(1)), ...order(u16(value)), 0, 0];
}

function app1(block: readonly number[]): number[] {
  return [0xff, 0xe1, ...u16(8 + block.length), ...ascii("Exif\0\0"), ...block];
}

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof InputError) return error.code;
    throw error;
  }
  return "accepted";
}

describe("readHeader", () => {
  it.each<[string, Uint8Array, Partial<PictureHeader>]>([
    ["PNG", png(640, 480), { format: "png", width: 640, height: 480 }],
    ["JPEG", jpeg(640, 480), { format: "jpeg", width: 640, height: 480, cmyk: false, orientation: 1 }],
    ["CMYK JPEG", jpeg(640, 480, [], 4), { cmyk: true }],
    ["JPEG with fill bytes and garbage", jpeg(640, 480, [0xff, 0xff, 0x00, 0x12]), { width: 640, height: 480 }],
    ["GIF", gif(640, 480), { format: "gif", width: 640, height: 480 }],
    ["lossy WebP", webp("VP8 ", [0, 0, 0, 0x9d, 1, 0x2a, 0x80, 0x02, 0xe0, 0x41]), { width: 640, height: 480 }],
    ["lossless WebP", webp("VP8L", [0x2f, 0x7f, 0xc2, 0x77, 0x00]), { format: "webp", width: 640, height: 480 }],
    ["extended WebP", webp("VP8X", [0, 0, 0, 0, ...u24le(639), ...u24le(479)]), { width: 640, height: 480 }],
  ])("reads a %s", (_, bytes, expected) => {
    expect(readHeader(bytes, "a")).toMatchObject(expected);
  });

  it.each([true, false])("reads EXIF orientation (little-endian: %s)", (little) => {
    expect(readHeader(jpeg(640, 480, app1(exif(6, little))), "a")).toMatchObject({
      width: 480,
      height: 640,
      orientation: 6,
    });
    const chunk = [...u32(22), ...ascii("eXIf"), ...exif(5, little), ...u32(0)];
    expect(readHeader(png(640, 480, chunk), "a")).toMatchObject({ width: 480, height: 640, orientation: 5 });
  });

  it.each<[string, number[]]>([
    ["a value beyond 8", exif(9, true)],
    ["a value of another type", exif(6, true, 0x0112, 4)],
    ["another tag", exif(6, true, 0x0110)],
    ["a cut block", exif(6, true).slice(0, 12)],
    ["another byte order mark", [1, 2, ...exif(6, true).slice(2)]],
  ])("takes EXIF with %s as upright", (_, block) => {
    expect(readHeader(jpeg(640, 480, app1(block)), "a").orientation).toBe(1);
  });

  it.each<[string, string | Uint8Array, string]>([
    ["PDF", "%PDF-1.7", "a PDF"],
    ["SVG", '<svg xmlns="http://www.w3.org/2000/svg">', "an SVG"],
    ["TIFF", "II*\0\x08\0\0\0", "a TIFF"],
    ["BMP", "BM\x36\0\0\0", "a BMP"],
    ["AVIF", "\0\0\0\x1cftypavif", "an AVIF"],
    ["HEIC", "\0\0\0\x18ftypheic", "a HEIC"],
    ["web page", "<!DOCTYPE html><html>", "a web page"],
    ["LFS pointer", "version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"],
    ["text", "a photo of a dog\n", "a text file"],
    ["noise", "\x01\x02\x03", "another kind"],
  ])("refuses a %s by its first bytes", (_, start, words) => {
    const bytes = Uint8Array.from(ascii(start as string));
    expect(() => readHeader(bytes, "dog.jpg")).toThrow(words);
    expect(codeOf(() => readHeader(bytes, "dog.jpg"))).toBe("PICTURE_FORMAT");
  });

  it("tells empty, cut and damaged headers apart", () => {
    expect(codeOf(() => readHeader(new Uint8Array(0), "a"))).toBe("PICTURE_EMPTY");
    for (const whole of [png(640, 480), jpeg(640, 480, app1(exif(6, true))), gif(640, 480)]) {
      for (let length = 8; length < whole.length; length++) {
        expect(codeOf(() => readHeader(whole.subarray(0, length), "a"))).toBe("PICTURE_TRUNCATED");
      }
    }
    expect(codeOf(() => readHeader(Uint8Array.of(0xff, 0xd8, 0xff, 0xda), "a"))).toBe("PICTURE_CORRUPT");
    expect(codeOf(() => readHeader(Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 1), "a"))).toBe("PICTURE_CORRUPT");
    expect(codeOf(() => readHeader(webp("VP9 ", [0, 0, 0, 0]), "a"))).toBe("PICTURE_CORRUPT");
  });

  it("gives a header or an InputError for any bytes", () => {
    const starts = [
      png(9, 9),
      jpeg(9, 9),
      gif(9, 9),
      webp("VP8X", [8, 0, 0, 0]),
      webp("VP8L", [0x2f]),
      webp("VP8 ", []),
    ];
    const bytes = fc.tuple(fc.constantFrom(...starts), fc.nat(30), fc.uint8Array({ maxLength: 300 }));
    fc.assert(
      fc.property(bytes, ([start, kept, rest]) => {
        const code = codeOf(() => readHeader(Uint8Array.from([...start.subarray(0, kept), ...rest]), "a"));
        expect(code).toMatch(/^(accepted|PICTURE_[A-Z]+)$/);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("checkLimits", () => {
  const check = (width: number, height: number, bytes = 1000): string =>
    codeOf(() => {
      checkLimits(readHeader(png(width, height), "a"), bytes, "a", defaultLimits);
    });

  it.each([
    [2, 2],
    [2, 200],
    [8000, 6000],
    [16_384, 1000],
  ])("accepts %i×%i", (width, height) => {
    expect(check(width, height)).toBe("accepted");
  });

  it.each([
    [0, 10],
    [1, 1],
    [1, 10],
    [30_000, 1],
    [30_000, 400],
    [2, 202],
    [8000, 7000],
    [50_000, 50_000],
    [2 ** 31, 2 ** 31],
  ])("refuses %i×%i", (width, height) => {
    expect(check(width, height)).toBe("PICTURE_SIZE");
  });

  it("refuses large files", () => {
    expect(check(100, 100, 65 * 2 ** 20)).toBe("PICTURE_SIZE");
  });
});
