// Pictures on Node: reading, checking, decoding (sharp) and small copies for reports.
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import sharp, { type Sharp } from "sharp";
import { InputError, LlavaError, RunError } from "../errors.ts";
import {
  checkLimits,
  corruptError,
  defaultLimits,
  type PictureFormat,
  type PictureHeader,
  type PictureLimits,
  readHeader,
  truncatedError,
} from "./header.ts";
import { type Channels, orient, type Pixels, toRgb } from "./pixels.ts";

// one thread a picture: many are decoded side by side; the cache would only hold what is never asked for again
sharp.concurrency(1);
sharp.cache(false);

/** What can be known of a picture without decoding it; width and height are those of the upright picture. */
export interface PictureInfo {
  readonly width: number;
  readonly height: number;
  readonly format: PictureFormat;
  readonly bytes: number;
}

const decodeSeconds = 10;
/** enough for the header of nearly every file; longer ones (large profiles, WebP with EXIF) are read whole */
const headerBytes = 65_536;

/**
 * Decodes a JPEG, PNG, WebP or GIF (first frame) to upright 8-bit RGB: EXIF orientation applied, grey and palettes
 * expanded, 16 bits cut to 8, CMYK converted, transparency composited onto white (as transformers' `convert_to_rgb`
 * does), colour profiles ignored (as Pillow does). `where` names the picture in errors. Limits are checked on the
 * header before anything is decoded. Throws InputErrors `PICTURE_EMPTY`, `PICTURE_FORMAT`, `PICTURE_SIZE`,
 * `PICTURE_TRUNCATED`, `PICTURE_CORRUPT`, `PICTURE_SLOW`.
 */
export async function decodePicture(
  bytes: Uint8Array,
  where: string,
  limits: Partial<PictureLimits> = {},
): Promise<Pixels> {
  const allowed = { ...defaultLimits, ...limits };
  checkLimits(undefined, bytes.length, where, allowed);
  const header = readHeader(bytes, where);
  checkLimits(header, bytes.length, where, allowed);
  let pipeline = sharp(bytes, { failOn: "error", limitInputPixels: allowed.pixels, ignoreIcc: true }).timeout({
    seconds: decodeSeconds,
  });
  // the naive conversion is ours: libvips would use a printer's profile
  if (header.cmyk) pipeline = pipeline.pipelineColourspace("cmyk").toColourspace("cmyk");
  try {
    const { data, info } = await pipeline.raw().toBuffer({ resolveWithObject: true });
    const rgb = toRgb(new Uint8Array(data.buffer, data.byteOffset, data.length), layout(info.channels, header.cmyk));
    return orient({ width: info.width, height: info.height, data: rgb }, header.orientation);
  } catch (error) {
    throw decodeError(error, bytes, header, where);
  }
}

function layout(channels: number, cmyk: boolean): Channels {
  if (cmyk) return "cmyk";
  return (["grey", "grey+alpha", "rgb", "rgb+alpha"] as const)[channels - 1]!;
}

/** libvips' own words name its internals, so they stay in `cause`. */
function decodeError(error: unknown, bytes: Uint8Array, header: PictureHeader, where: string): InputError {
  if (error instanceof Error && error.message.startsWith("timeout")) {
    return new InputError("PICTURE_SLOW", {
      expected: `a picture that decodes within ${decodeSeconds} seconds`,
      got: "one that takes longer",
      where,
      fix: "save it anew as a plain JPEG or PNG",
      cause: error,
    });
  }
  if (!isWhole(bytes, header.format)) return truncatedError(header.format, bytes.length, where, error);
  return corruptError(header.format, "one whose pixels can't be decoded", where, error);
}

/** Whether the file reaches the end that its format promises. */
function isWhole(bytes: Uint8Array, format: PictureFormat): boolean {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (format) {
    case "jpeg":
      return buffer.includes(Buffer.from([0xff, 0xd9]), Math.max(0, buffer.length - 1024));
    case "png":
      return buffer.includes("IEND", Math.max(0, buffer.length - 1024), "latin1");
    case "webp":
      return buffer.length >= 8 + buffer.readUInt32LE(4);
    case "gif":
      return buffer.at(-1) === 0x3b;
  }
}

/** Reads and decodes a picture file. Throws `PICTURE_MISSING` and what `decodePicture` throws. */
export async function readPicture(path: string, limits: Partial<PictureLimits> = {}): Promise<Pixels> {
  return decodePicture(await readPictureBytes(path, limits), path, limits);
}

/** A picture's bytes as they lie in the file, not yet looked at. Throws `PICTURE_MISSING`, `PICTURE_SIZE`. */
export async function readPictureBytes(path: string, limits: Partial<PictureLimits> = {}): Promise<Uint8Array> {
  return withFile(path, { ...defaultLimits, ...limits }, (file) => file.readFile());
}

/** Format, size and bytes of a picture file from its header: cheap, nothing is decoded. Throws like `readPicture`. */
export async function probePicture(path: string, limits: Partial<PictureLimits> = {}): Promise<PictureInfo> {
  const allowed = { ...defaultLimits, ...limits };
  return withFile(path, allowed, async (file, bytes) => {
    const start = Buffer.alloc(Math.min(bytes, headerBytes));
    const { bytesRead } = await file.read(start, 0, start.length, 0);
    const header = await headerOf(start.subarray(0, bytesRead), path, async () => {
      const whole = Buffer.alloc(bytes);
      return whole.subarray(0, (await file.read(whole, 0, bytes, 0)).bytesRead);
    });
    checkLimits(header, bytes, path, allowed);
    return { width: header.width, height: header.height, format: header.format, bytes };
  });
}

async function headerOf(
  start: Uint8Array,
  where: string,
  readWhole: () => Promise<Uint8Array>,
): Promise<PictureHeader> {
  try {
    return readHeader(start, where);
  } catch (error) {
    const isShort = error instanceof InputError && error.code === "PICTURE_TRUNCATED" && start.length === headerBytes;
    if (!isShort) throw error;
    return readHeader(await readWhole(), where);
  }
}

/** Decodes a picture file fully and says what it is: the check before training. Throws like `readPicture`. */
export async function verifyPicture(path: string, limits: Partial<PictureLimits> = {}): Promise<PictureInfo> {
  const bytes = await readPictureBytes(path, limits);
  const { width, height } = await decodePicture(bytes, path, limits);
  return { width, height, format: readHeader(bytes, path).format, bytes: bytes.length };
}

/** Changes with anything that decides whether `verifyPicture` accepts a file: raise the number with its rules. */
export const pictureCheckKey = JSON.stringify(["picture-check-1", defaultLimits, sharp.versions]);

/** SHA-256 of a picture's bytes, in hexadecimal: the picture's part of a cache key. */
export function pictureHash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A PNG file of the pixels. */
export async function encodePng(pixels: Pixels): Promise<Uint8Array> {
  return fromPixels(pixels).png().toBuffer();
}

/** A copy of exactly this size, for people to look at; models have `resize`. */
export async function resizePixels(pixels: Pixels, width: number, height: number): Promise<Pixels> {
  const data = await fromPixels(pixels).resize({ width, height, fit: "fill" }).raw().toBuffer();
  return { width, height, data: new Uint8Array(data.buffer, data.byteOffset, data.length) };
}

/**
 * A small JPEG copy as a `data:` URL for reports, its longer side at most `maxSide` pixels (never enlarged).
 * From bytes it throws like `decodePicture`.
 */
export async function thumbnail(picture: Pixels | Uint8Array, maxSide: number): Promise<string> {
  const pixels = picture instanceof Uint8Array ? await decodePicture(picture, "thumbnail") : picture;
  const small = fromPixels(pixels).resize({ width: maxSide, height: maxSide, fit: "inside", withoutEnlargement: true });
  return `data:image/jpeg;base64,${(await small.jpeg({ quality: 80 }).toBuffer()).toString("base64")}`;
}

function fromPixels({ width, height, data }: Pixels): Sharp {
  return sharp(data, { raw: { width, height, channels: 3 } });
}

async function withFile<T>(
  path: string,
  limits: PictureLimits,
  use: (file: FileHandle, bytes: number) => Promise<T>,
): Promise<T> {
  let file: FileHandle | undefined;
  try {
    // without O_NONBLOCK, opening a named pipe would wait for a writer
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await file.stat();
    if (!stats.isFile()) throw missingError(path, "a folder or device");
    checkLimits(undefined, stats.size, path, limits);
    return await use(file, stats.size);
  } catch (error) {
    throw error instanceof LlavaError ? error : fileError(path, error);
  } finally {
    await file?.close();
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no file there",
  ENOTDIR: "no file there",
  ENAMETOOLONG: "a name that no file can have",
  ERR_INVALID_ARG_VALUE: "a name that no file can have",
  ELOOP: "a link that leads nowhere",
  EACCES: "a file that may not be read",
  EPERM: "a file that may not be read",
};

function fileError(path: string, cause: unknown): LlavaError {
  const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
  const reason = reasons[code];
  if (reason !== undefined) return missingError(path, reason, cause);
  const got = `the system's error ${code}`;
  return new RunError("PICTURE_READ", { expected: "to read the picture", got, where: path, fix: "try again", cause });
}

function missingError(path: string, got: string, cause?: unknown): InputError {
  const fix = "check the path and the images folder";
  return new InputError("PICTURE_MISSING", { expected: "a picture file", got, where: path, fix, cause });
}
