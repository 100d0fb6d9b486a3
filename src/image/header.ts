// Reads a picture's format, size and orientation from its first bytes, without decoding, and holds them against limits.
import { InputError } from "../errors.ts";
import { exifOrientation } from "./exif.ts";
import { type Orientation, swapsSides } from "./pixels.ts";

export type PictureFormat = "jpeg" | "png" | "webp" | "gif";

/** What the header says; `width` and `height` are those of the upright picture, in pixels. */
export interface PictureHeader {
  readonly format: PictureFormat;
  readonly width: number;
  readonly height: number;
  readonly orientation: Orientation;
  /** a JPEG with four components: CMYK or YCCK */
  readonly cmyk: boolean;
}

/** What a picture may be before anything is decoded. */
export interface PictureLimits {
  /** size of the file */
  readonly bytes: number;
  /** width × height */
  readonly pixels: number;
  readonly side: number;
  /** the shorter side in pixels: a 1×1 picture is a tracking dot or a broken download */
  readonly minSide: number;
  /** longer side / shorter side */
  readonly aspect: number;
}

export const defaultLimits: PictureLimits = {
  bytes: 64 * 2 ** 20,
  pixels: 50_000_000,
  side: 16_384,
  minSide: 2,
  aspect: 100,
};

/** The format by magic bytes; undefined when it is none of the four. */
export function pictureFormat(bytes: Uint8Array): PictureFormat | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "jpeg";
  if (latin1(bytes, 0, 8) === "\x89PNG\r\n\x1a\n") return "png";
  if (latin1(bytes, 0, 4) === "RIFF" && latin1(bytes, 8, 4) === "WEBP") return "webp";
  if (/^GIF8[79]a$/.test(latin1(bytes, 0, 6))) return "gif";
  return undefined;
}

/**
 * Reads the header of a JPEG, PNG, WebP or GIF. `bytes` may be only the file's beginning, as long as the header is
 * in it. Throws `PICTURE_EMPTY`, `PICTURE_FORMAT`, `PICTURE_TRUNCATED` (the bytes end inside the header) and
 * `PICTURE_CORRUPT`. Sources: ITU T.81 annex B, PNG (W3C 2003) §11, RFC 9649, GIF89a §18.
 */
export function readHeader(bytes: Uint8Array, where: string): PictureHeader {
  if (bytes.length === 0) {
    throw new InputError("PICTURE_EMPTY", {
      expected: "a picture",
      got: "an empty file",
      where,
      fix: "replace the file",
    });
  }
  const format = pictureFormat(bytes);
  if (format === undefined) throw formatError(bytes, where);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const { width, height, orientation, cmyk } = readers[format](view, where);
    const [w, h] = swapsSides(orientation) ? [height, width] : [width, height];
    return { format, width: w, height: h, orientation, cmyk };
  } catch (error) {
    // DataView throws RangeError when a read passes the end
    if (error instanceof RangeError) throw truncatedError(format, bytes.length, where);
    throw error;
  }
}

/** Throws `PICTURE_SIZE` when a file or its header is beyond the limits. */
export function checkLimits(
  header: PictureHeader | undefined,
  bytes: number,
  where: string,
  limits: PictureLimits,
): void {
  const refuse = (expected: string, got: string, fix: string): never => {
    throw new InputError("PICTURE_SIZE", { expected, got, where, fix });
  };
  if (bytes > limits.bytes) refuse(`a picture of at most ${limits.bytes} bytes`, `${bytes} bytes`, "save it smaller");
  if (header === undefined) return;
  const { width, height } = header;
  const size = `${width}×${height}`;
  const [short, long] = width < height ? [width, height] : [height, width];
  if (short < limits.minSide) {
    refuse(`a picture of at least ${limits.minSide}×${limits.minSide} pixels`, size, "replace or remove it");
  }
  if (long > limits.side) refuse(`sides of at most ${limits.side} pixels`, size, "scale it down");
  if (width * height > limits.pixels) {
    refuse(
      `at most ${limits.pixels / 1e6} million pixels`,
      `${size} (${Math.round((width * height) / 1e6)} million)`,
      "scale it down",
    );
  }
  if (long > short * limits.aspect)
    refuse(`sides in a ratio of at most ${limits.aspect}:1`, size, "cut it into pieces");
}

export function truncatedError(format: PictureFormat, bytes: number, where: string, cause?: unknown): InputError {
  return new InputError("PICTURE_TRUNCATED", {
    expected: `a whole ${format.toUpperCase()} file`,
    got: `one that is cut off after ${bytes} bytes`,
    where,
    fix: "download or copy it again",
    cause,
  });
}

export function corruptError(format: PictureFormat, what: string, where: string, cause?: unknown): InputError {
  const expected = `a valid ${format.toUpperCase()} file`;
  return new InputError("PICTURE_CORRUPT", {
    expected,
    got: what,
    where,
    fix: "download it again or save it anew",
    cause,
  });
}

const others: readonly (readonly [RegExp, string])[] = [
  [/^%PDF/, "a PDF file"],
  [/^(II\*\0|MM\0\*)/, "a TIFF picture"],
  [/^BM/, "a BMP picture"],
  [/^.{4}ftyp(avif|avis)/s, "an AVIF picture"],
  [/^.{4}ftyp(heic|heix|mif1|msf1|hevc)/s, "a HEIC picture"],
  [/^(\xef\xbb\xbf)?\s*<(\?xml|svg)/i, "an SVG or XML file"],
  [/^(\xef\xbb\xbf)?\s*<(!doctype|html)/i, "a web page"],
  [/^PK/, "a ZIP archive"],
  [/^version https:\/\/git-lfs/, "a Git LFS pointer (the file itself was never fetched)"],
  [/^[\t\n\r\x20-\x7e\x80-\xff]+$/, "a text file"],
];

function formatError(bytes: Uint8Array, where: string): InputError {
  const start = latin1(bytes, 0, 64);
  const got = others.find(([pattern]) => pattern.test(start))?.[1] ?? "bytes of another kind";
  return new InputError("PICTURE_FORMAT", {
    expected: "a JPEG, PNG, WebP or GIF picture",
    got,
    where,
    fix: "convert it to JPEG or PNG, or remove it",
  });
}

type Stored = Omit<PictureHeader, "format">;

const readers: Readonly<Record<PictureFormat, (view: DataView, where: string) => Stored>> = {
  jpeg: readJpeg,
  png: readPng,
  webp: readWebp,
  gif: (view) => ({ width: view.getUint16(6, true), height: view.getUint16(8, true), orientation: 1, cmyk: false }),
};

/** Walks the marker segments up to the first scan. */
function readJpeg(view: DataView, where: string): Stored {
  let orientation: Orientation = 1;
  let frame: Omit<Stored, "orientation"> | undefined;
  for (let at = 2; ;) {
    if (view.getUint8(at) !== 0xff || view.getUint8(at + 1) === 0xff || view.getUint8(at + 1) === 0) {
      at++; // fill bytes, or garbage between segments, which decoders skip too
      continue;
    }
    const marker = view.getUint8(at + 1);
    if (marker === 0xda || marker === 0xd9) break;
    if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2;
      continue;
    }
    const length = view.getUint16(at + 2);
    if (length < 2) throw corruptError("jpeg", `a segment of ${length} bytes at byte ${at}`, where);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) {
      frame = { height: view.getUint16(at + 5), width: view.getUint16(at + 7), cmyk: view.getUint8(at + 9) === 4 };
    } else if (marker === 0xe1 && length >= 8 && ascii(view, at + 4, 6) === "Exif\0\0") {
      orientation = exifOrientation(section(view, at + 10, length - 8));
    }
    at += 2 + length;
  }
  if (frame === undefined) throw corruptError("jpeg", "no frame header before the first scan", where);
  return { ...frame, orientation };
}

/** Walks the chunks up to the first pixels. */
function readPng(view: DataView, where: string): Stored {
  if (ascii(view, 12, 4) !== "IHDR") throw corruptError("png", "no IHDR chunk at its start", where);
  const stored = { width: view.getUint32(16), height: view.getUint32(20), cmyk: false };
  let orientation: Orientation = 1;
  for (let at = 8; ;) {
    const length = view.getUint32(at);
    const type = ascii(view, at + 4, 4);
    if (type === "IDAT" || type === "IEND") break;
    if (type === "eXIf") orientation = exifOrientation(section(view, at + 8, length));
    at += 12 + length;
  }
  return { ...stored, orientation };
}

function readWebp(view: DataView, where: string): Stored {
  const kind = ascii(view, 12, 4);
  const upright = { orientation: 1, cmyk: false } as const;
  if (kind === "VP8 ") {
    if (view.getUint8(23) !== 0x9d || view.getUint8(24) !== 0x01 || view.getUint8(25) !== 0x2a) {
      throw corruptError("webp", "no VP8 start code", where);
    }
    return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff, ...upright };
  }
  if (kind === "VP8L") {
    if (view.getUint8(20) !== 0x2f) throw corruptError("webp", "no VP8L signature", where);
    const bits = view.getUint32(21, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1, ...upright };
  }
  if (kind !== "VP8X") throw corruptError("webp", "neither a VP8, VP8L nor VP8X chunk first", where);
  const side = (at: number): number => view.getUint16(at, true) + view.getUint8(at + 2) * 65_536 + 1;
  const hasExif = (view.getUint8(20) & 0x08) !== 0;
  return { width: side(24), height: side(27), orientation: hasExif ? webpOrientation(view) : 1, cmyk: false };
}

/** EXIF lies behind the pixels in WebP; a file without the promised chunk is upright. */
function webpOrientation(view: DataView): Orientation {
  const end = 8 + view.getUint32(4, true);
  for (let at = 12; at + 8 <= end;) {
    const length = view.getUint32(at + 4, true);
    if (ascii(view, at, 4) === "EXIF") {
      const prefixed = length >= 6 && ascii(view, at + 8, 6) === "Exif\0\0";
      return exifOrientation(prefixed ? section(view, at + 14, length - 6) : section(view, at + 8, length));
    }
    at += 8 + length + (length & 1);
  }
  return 1;
}

function section(view: DataView, at: number, length: number): DataView {
  return new DataView(view.buffer, view.byteOffset + at, Math.min(length, view.byteLength - at));
}

function ascii(view: DataView, at: number, length: number): string {
  return String.fromCharCode(...Array.from({ length }, (_, i) => view.getUint8(at + i)));
}

function latin1(bytes: Uint8Array, from: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(from, from + length));
}
