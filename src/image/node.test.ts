// Decoding real files of every kind, and what hostile or broken ones are told.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp, { type Sharp } from "sharp";
import { afterAll, describe, expect, it } from "vitest";
import { InputError } from "../errors.ts";
import { lab } from "../../test/lab.ts";
import { decodePicture, encodePng, pictureHash, probePicture, readPicture, thumbnail, verifyPicture } from "./node.ts";
import type { Pixels } from "./pixels.ts";

const folder = mkdtempSync(join(tmpdir(), "llava-pictures-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const [width, height] = [23, 17];

function noise(channels: number): Uint8Array {
  return Uint8Array.from({ length: width * height * channels }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 11) & 255);
}

function from(channels: 1 | 2 | 3 | 4): Sharp {
  return sharp(noise(channels), { raw: { width, height, channels } });
}

/** RGB of `channels` bytes a pixel, with alpha over white. */
function rgbOf(bytes: Uint8Array, channels: number): Uint8Array {
  const alphaAt = channels % 2 === 0 ? channels - 1 : undefined;
  return Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const at = Math.floor(i / 3) * channels;
    const value = bytes[at + (channels < 3 ? 0 : i % 3)]!;
    const alpha = alphaAt === undefined ? 255 : bytes[at + alphaAt]!;
    return Math.round((value * alpha + 255 * (255 - alpha)) / 255);
  });
}

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

async function refusal(act: Promise<unknown>): Promise<InputError> {
  const error = await act.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(InputError);
  return error as InputError;
}

function difference(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

describe("decodePicture", () => {
  it.each([1, 2, 3, 4] as const)("keeps the pixels of a PNG with %i channels", async (channels) => {
    const { data, ...size } = await decodePicture(await from(channels).png().toBuffer(), "a.png");
    expect(size).toEqual({ width, height });
    expect(difference(data, rgbOf(noise(channels), channels))).toBe(0);
  });

  it.each([3, 4] as const)("cuts 16 bits to the high 8 (%i channels)", async (channels) => {
    const wide = Uint16Array.from(noise(channels), (value, i) => value * 256 + ((i * 89) & 255));
    const raw = { width, height, channels };
    const png = await sharp(wide, { raw }).toColourspace("rgb16").png().toBuffer();
    expect((await sharp(png).metadata()).depth).toBe("ushort");
    // read back what was stored, because sharp may scale what it is given
    const { data: stored } = await sharp(png)
      .toColourspace("rgb16")
      .raw({ depth: "ushort" })
      .toBuffer({ resolveWithObject: true });
    const high = Uint8Array.from({ length: stored.length / 2 }, (_, i) => stored[i * 2 + 1]!);
    expect(difference((await decodePicture(png, "a.png")).data, rgbOf(high, channels))).toBe(0);
  });

  it("expands a palette", async () => {
    const png = await from(3).png({ palette: true, colours: 16, dither: 0 }).toBuffer();
    expect((await sharp(png).metadata()).isPalette).toBe(true);
    const { data } = await decodePicture(png, "a.png");
    expect(new Set(Array.from({ length: width * height }, (_, i) => data.subarray(i * 3, i * 3 + 3).join())).size).toBe(
      16,
    );
  });

  it("decodes lossless WebP exactly, lossy WebP and JPEG nearly", async () => {
    const lossless = await decodePicture(await from(3).webp({ lossless: true }).toBuffer(), "a.webp");
    expect(difference(lossless.data, noise(3))).toBe(0);
    const flat = sharp({ create: { width, height, channels: 3, background: { r: 200, g: 100, b: 50 } } });
    for (const bytes of [await flat.jpeg().toBuffer(), await flat.webp().toBuffer()]) {
      const { data } = await decodePicture(bytes, "a");
      expect(
        difference(
          data,
          Uint8Array.from(data, (_, i) => [200, 100, 50][i % 3]!),
        ),
      ).toBeLessThan(5);
    }
  });

  it("takes the first frame of an animated GIF", async () => {
    const frames = new Uint8Array(8 * 8 * 2 * 3).fill(10, 0, 8 * 8 * 3).fill(240, 8 * 8 * 3);
    const raw = { width: 8, height: 16, channels: 3, pageHeight: 8 } as const;
    const gif = await sharp(frames, { raw })
      .gif({ delay: [100, 100] })
      .toBuffer();
    expect((await sharp(gif).metadata()).pages).toBe(2);
    const first = await decodePicture(gif, "a.gif");
    expect([first.width, first.height]).toEqual([8, 8]);
    expect(difference(first.data, new Uint8Array(8 * 8 * 3).fill(10))).toBe(0);
  });

  it("converts a CMYK JPEG as Pillow does, whatever its profile", async () => {
    const jpeg = await from(3).toColourspace("cmyk").jpeg({ quality: 100, chromaSubsampling: "4:4:4" }).toBuffer();
    expect((await sharp(jpeg).metadata()).space).toBe("cmyk");
    const ink = await sharp(jpeg, { ignoreIcc: true })
      .pipelineColourspace("cmyk")
      .toColourspace("cmyk")
      .raw()
      .toBuffer();
    const expected = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
      const at = Math.floor(i / 3) * 4;
      return Math.round(((255 - ink[at + (i % 3)]!) * (255 - ink[at + 3]!)) / 255);
    });
    const { data } = await decodePicture(jpeg, "a.jpg");
    expect(difference(data, expected)).toBeLessThanOrEqual(1);
    expect(Math.max(...data) - Math.min(...data)).toBeGreaterThan(100);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])("applies EXIF orientation %i", async (orientation) => {
    for (const format of ["png", "jpeg", "webp"] as const) {
      const bytes = await from(3).withMetadata({ orientation }).toFormat(format).toBuffer();
      const expected = await sharp(bytes).autoOrient().raw().toBuffer({ resolveWithObject: true });
      const { data, ...size } = await decodePicture(bytes, format);
      expect(size).toEqual({ width: expected.info.width, height: expected.info.height });
      expect(difference(data, expected.data)).toBe(0);
      expect(await probePicture(file(`turned.${format}`, bytes))).toMatchObject({ ...size, format });
    }
  });
});

describe("broken and hostile files", () => {
  it.each(["jpeg", "png", "webp", "gif"] as const)("tells a truncated %s wherever it is cut", async (format) => {
    const whole = await from(3).toFormat(format).toBuffer();
    // the last bytes only mark the end: all pixels may be there without them
    const end = whole.length - { jpeg: 2, png: 12, webp: 1, gif: 1 }[format];
    const step = Math.ceil(end / 40);
    for (let length = 16; length < end; length += step) {
      const error = await refusal(decodePicture(whole.subarray(0, length), "cut.jpg"));
      expect(["PICTURE_TRUNCATED", "PICTURE_CORRUPT"]).toContain(error.code);
      if (format !== "gif") expect(error.code).toBe("PICTURE_TRUNCATED");
      expect(error.message).toContain("cut.jpg");
      expect(error.message).not.toMatch(/vips|sharp|node_modules|Vips/);
    }
  });

  it("refuses files that are empty, text, missing, a folder or a pipe", async () => {
    expect((await refusal(readPicture(file("empty.jpg", new Uint8Array(0))))).code).toBe("PICTURE_EMPTY");
    const text = await refusal(readPicture(file("text.jpg", Buffer.from("not a picture at all"))));
    expect([text.code, text.exitCode, text.details.got]).toEqual(["PICTURE_FORMAT", 2, "a text file"]);
    expect((await refusal(probePicture(join(folder, "none.jpg")))).code).toBe("PICTURE_MISSING");
    expect((await refusal(readPicture("a\0b.jpg"))).code).toBe("PICTURE_MISSING");
    expect((await refusal(readPicture(folder))).code).toBe("PICTURE_MISSING");
    expect((await refusal(readPicture(join(folder, "text.jpg", "a.jpg")))).code).toBe("PICTURE_MISSING");
  });

  it.skipIf(process.platform === "win32")("does not wait for a named pipe (Windows has none)", async () => {
    const pipe = join(folder, "pipe.jpg");
    const command = "mkfifo"; // a system tool, not a dependency that knip should look for
    execFileSync(command, [pipe]);
    expect((await refusal(verifyPicture(pipe))).code).toBe("PICTURE_MISSING");
  });

  it("refuses sizes by header and limits", async () => {
    const dot = await sharp({ create: { width: 1, height: 1, channels: 3, background: "red" } })
      .png()
      .toBuffer();
    expect((await refusal(decodePicture(dot, "dot.png"))).code).toBe("PICTURE_SIZE");
    const line = await sharp({ create: { width: 30_000, height: 1, channels: 3, background: "red" } })
      .png()
      .toBuffer();
    expect((await refusal(decodePicture(line, "line.png"))).message).toContain("30000×1");
    const large = await sharp({ create: { width: 1000, height: 900, channels: 3, background: "red" } })
      .png()
      .toBuffer();
    expect((await refusal(decodePicture(large, "large.png", { pixels: 800_000 }))).code).toBe("PICTURE_SIZE");
    expect((await refusal(decodePicture(large, "large.png", { bytes: 100 }))).code).toBe("PICTURE_SIZE");
  });

  it("refuses a PNG that claims 50,000×50,000 pixels without decoding it", async () => {
    const png = Buffer.from(await from(3).png().toBuffer());
    png.writeUInt32BE(50_000, 16);
    png.writeUInt32BE(50_000, 20);
    const path = file("bomb.png", png);
    for (const act of [decodePicture(png, path), probePicture(path), verifyPicture(path)]) {
      expect((await refusal(act)).code).toBe("PICTURE_SIZE");
    }
  });

  it("refuses a file beyond the limit before reading it", async () => {
    const path = file("sparse.jpg", Uint8Array.of(0xff, 0xd8, 0xff));
    truncateSync(path, 2 ** 33);
    expect((await refusal(readPicture(path))).code).toBe("PICTURE_SIZE");
  });

  it("answers any damage with pixels or an InputError", async () => {
    for (const format of ["jpeg", "png", "webp", "gif"] as const) {
      const whole = await from(3).toFormat(format).toBuffer();
      for (let round = 0; round < 60; round++) {
        const damaged = Buffer.from(whole);
        for (let k = 0; k <= round % 3; k++) {
          damaged[(Math.imul(round * 3 + k + 1, 2654435761) >>> 8) % damaged.length] = (round * 37 + k) & 255;
        }
        const result = await decodePicture(damaged, "damaged").catch((error: unknown) => error);
        if (!(result instanceof InputError)) {
          const pixels = result as Pixels;
          expect(pixels.data.length).toBe(pixels.width * pixels.height * 3);
        }
      }
    }
  });
});

describe("files and copies", () => {
  it("probes a header that lies far into the file", async () => {
    const profile = Buffer.alloc(65_533, 7);
    const segment = Buffer.concat([Buffer.from([0xff, 0xed, 0xff, 0xff]), profile]);
    const jpeg = await from(3).jpeg().toBuffer();
    const path = file("far.jpg", Buffer.concat([jpeg.subarray(0, 2), segment, segment, jpeg.subarray(2)]));
    const info = { width, height, format: "jpeg", bytes: jpeg.length + 2 * segment.length };
    expect(await probePicture(path)).toEqual(info);
    expect(await verifyPicture(path)).toEqual(info);
  });

  it("encodes a PNG that decodes to the same pixels", async () => {
    const pixels: Pixels = { width, height, data: noise(3) };
    const again = await decodePicture(await encodePng(pixels), "a.png");
    expect(difference(again.data, pixels.data)).toBe(0);
  });

  it("makes small data: URLs, never larger than the picture", async () => {
    const png = await encodePng({ width, height, data: noise(3) });
    for (const [maxSide, expected] of [
      [10, 10],
      [500, width],
    ] as const) {
      const url = await thumbnail(png, maxSide);
      expect(url).toMatch(/^data:image\/jpeg;base64,/);
      const { width: w = 0, height: h = 0 } = await sharp(Buffer.from(url.split(",")[1]!, "base64")).metadata();
      expect(Math.max(w, h)).toBe(expected);
    }
  });

  it("hashes bytes with SHA-256", () => {
    expect(pictureHash(Buffer.from("abc"))).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  });
});

describe.skipIf(!lab.present)("photos (needs the lab's shared folder)", () => {
  it("are probed and verified alike", async () => {
    const names = readdirSync(lab.path("data/coco/photos")).filter((_, i) => i % 50 === 0);
    expect(names.length).toBeGreaterThan(40);
    for (const name of names) {
      const path = lab.path(`data/coco/photos/${name}`);
      expect(await verifyPicture(path)).toEqual(await probePicture(path));
    }
  });
});
