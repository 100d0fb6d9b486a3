// From pixels to a tower's input, with the numbers of transformers' Pillow-backed image processors.
import type { Pixels } from "./pixels.ts";
import { inputSize, type Preprocessor } from "./preprocessor.ts";
import { type Region, resize, type RowSource, rowsOf, type Size } from "./resize.ts";

/**
 * The tower's input for one picture: float32 [3, H, W] (channels, rows, columns) with H × W = `inputSize`, rescaled
 * and then normalised with float32 roundings like transformers' `rescale` and `normalize`. Bit-equal to its Pillow
 * backend for the same pixels.
 */
export function preprocess(pixels: Pixels, preprocessor: Preprocessor): Float32Array {
  return normalised(fitPixels(pixels, preprocessor), preprocessor);
}

/** Pixels as they are, rescaled and normalised: [3, H, W]. */
export function normalised({ width, height, data }: Pixels, preprocessor: Preprocessor): Float32Array {
  const area = width * height;
  const values_CHW = new Float32Array(3 * area);
  for (let c = 0; c < 3; c++) {
    const table = valueTable(preprocessor, c);
    const plane = values_CHW.subarray(c * area, (c + 1) * area);
    for (let i = 0, from = c; i < area; i++, from += 3) plane[i] = table[data[from]!]!;
  }
  return values_CHW;
}

/** The picture that `normalised` was given: from [3, H, W] back to bytes, exactly. */
export function denormalised(values_CHW: Float32Array, { width, height }: Size, preprocessor: Preprocessor): Pixels {
  const area = width * height;
  const data = new Uint8Array(3 * area);
  const { rescale, mean, std, normalise } = preprocessor;
  for (let c = 0; c < 3; c++) {
    const [factor, shift] = normalise ? [std[c]!, mean[c]!] : [1, 0];
    for (let i = 0; i < area; i++) {
      data[i * 3 + c] = Math.round((values_CHW[c * area + i]! * factor + shift) / (rescale ?? 1));
    }
  }
  return { width, height, data };
}

/** What the tower gets to see, as a picture: padded, resized and cropped, before rescaling and normalising. */
export function fitPixels(pixels: Pixels, preprocessor: Preprocessor): Pixels {
  const source = preprocessor.padToSquare ? squared(pixels, meanColour(preprocessor)) : rowsOf(pixels);
  const size = resizedSize(source, preprocessor.resize);
  const target = inputSize(preprocessor);
  const across = centre(size.width, target.width);
  const down = centre(size.height, target.height);
  const kept: Region = { left: across.from, top: down.from, width: across.length, height: down.length };
  const cut = resize(source, size, preprocessor.filter, kept);
  if (cut.width === target.width && cut.height === target.height) return cut;
  return onBlack(cut, target, across.at, down.at);
}

/** The 256 values that a channel's bytes can become. */
function valueTable({ rescale, mean, std, normalise }: Preprocessor, channel: number): Float32Array {
  const m = Math.fround(mean[channel]!);
  const s = Math.fround(std[channel]!);
  return Float32Array.from({ length: 256 }, (_, byte) => {
    const value = Math.fround(rescale === null ? byte : byte * rescale);
    return normalise ? Math.fround(value - m) / s : value;
  });
}

function resizedSize({ width, height }: Size, resize: Preprocessor["resize"]): Size {
  if (resize === null) return { width, height };
  if (typeof resize !== "number") return resize;
  // the longer side is cut to a whole number, as in transformers' `get_resize_output_image_size`
  return width <= height
    ? { width: resize, height: Math.floor((resize * height) / width) }
    : { width: Math.floor((resize * width) / height), height: resize };
}

/** Of `length` pixels, which part a centred window of `wanted` covers, and where it lies in the window. */
function centre(length: number, wanted: number): { from: number; length: number; at: number } {
  if (length >= wanted) return { from: Math.floor((length - wanted) / 2), length: wanted, at: 0 };
  return { from: 0, length, at: Math.ceil((wanted - length) / 2) };
}

/** A picture on a black one of another size, its corner at `left`, `top`. */
export function onBlack(pixels: Pixels, { width, height }: Size, left: number, top: number): Pixels {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < pixels.height; y++) {
    const row = pixels.data.subarray(y * pixels.width * 3, (y + 1) * pixels.width * 3);
    data.set(row, ((top + y) * width + left) * 3);
  }
  return { width, height, data };
}

function meanColour({ mean }: Preprocessor): readonly number[] {
  return mean.map((value) => Math.trunc(value * 255));
}

/** A picture in the middle of a square of one colour, made row by row: the whole square may be large. */
function squared(pixels: Pixels, colour: readonly number[]): RowSource {
  const { width, height } = pixels;
  const side = Math.max(width, height);
  const left = (side - width) >> 1;
  const top = (side - height) >> 1;
  const inside = rowsOf(pixels);
  const blank = Uint8Array.from({ length: side * 3 }, (_, i) => colour[i % 3]!);
  const rows = (from: number, count: number): Uint8Array => {
    const out = new Uint8Array(count * side * 3);
    for (let row = 0; row < count; row++) {
      out.set(blank, row * side * 3);
      const y = from + row - top;
      if (y >= 0 && y < height) out.set(inside.rows(y, 1), (row * side + left) * 3);
    }
    return out;
  };
  return { width: side, height: side, rows };
}
