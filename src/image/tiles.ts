// A picture as several views: the whole, and tiles of it at a higher resolution (LLaVA-NeXT's "anyres").
// Bit-equal to transformers' Pillow-backed LlavaNextImageProcessor for the same list of grids.
import type { Pixels } from "./pixels.ts";
import { normalised, onBlack, preprocess } from "./preprocess.ts";
import { inputSize, type Preprocessor, withFit } from "./preprocessor.ts";
import { resize, rowsOf, type Size } from "./resize.ts";

/** Which view of a picture, among those that it has with at most `most` tiles: 0 the whole, then tiles in reading order. */
export interface View {
  readonly index: number;
  readonly most: number;
}

interface Grid {
  readonly rows: number;
  readonly columns: number;
}

/** How many views a picture has: one for small ones, else the whole and its tiles. */
export function viewCount(picture: Size, preprocessor: Preprocessor, most: number): number {
  const { rows, columns } = chooseGrid(picture, inputSize(preprocessor), most);
  return rows * columns === 1 ? 1 : 1 + rows * columns;
}

/** One view as the tower takes it, [3, H, W]; the whole is stretched to a square, so that no part of it is lost. */
export function pictureView(pixels: Pixels, preprocessor: Preprocessor, { index, most }: View): Float32Array {
  if (index === 0) return preprocess(pixels, withFit(preprocessor, "stretch"));
  const side = inputSize(preprocessor);
  const { rows, columns } = chooseGrid(pixels, side, most);
  const canvas = { width: columns * side.width, height: rows * side.height };
  const size = fitted(pixels, canvas);
  const across = overlap(((index - 1) % columns) * side.width, side.width, canvas.width, size.width);
  const down = overlap(Math.floor((index - 1) / columns) * side.height, side.height, canvas.height, size.height);
  const nothing = across.length === 0 || down.length === 0;
  const seen = nothing
    ? { width: 0, height: 0, data: new Uint8Array() }
    : resize(rowsOf(pixels), size, preprocessor.filter, {
        left: across.from,
        top: down.from,
        width: across.length,
        height: down.length,
      });
  return normalised(onBlack(seen, side, across.at, down.at), preprocessor);
}

/** All views of a picture, in order. */
export function pictureViews(pixels: Pixels, preprocessor: Preprocessor, most: number): Float32Array[] {
  const count = viewCount(pixels, preprocessor, most);
  return Array.from({ length: count }, (_, index) => pictureView(pixels, preprocessor, { index, most }));
}

/** The grid of at most `most` tiles that keeps most of the picture's pixels and, among such, wastes least. */
function chooseGrid({ width, height }: Size, side: Size, most: number): Grid {
  let best: Grid = { rows: 1, columns: 1 };
  let [kept, wasted] = [0, Infinity];
  for (let rows = 1; rows <= most; rows++) {
    for (let columns = 1; rows * columns <= most; columns++) {
      const [across, down] = [columns * side.width, rows * side.height];
      const scale = Math.min(across / width, down / height);
      const effective = Math.min(Math.trunc(width * scale) * Math.trunc(height * scale), width * height);
      const waste = across * down - effective;
      if (effective > kept || (effective === kept && waste < wasted)) {
        [kept, wasted] = [effective, waste];
        best = { rows, columns };
      }
    }
  }
  return best;
}

/** The largest size of the picture's shape on a canvas. */
function fitted({ width, height }: Size, canvas: Size): Size {
  const [across, down] = [canvas.width / width, canvas.height / height];
  return across < down
    ? { width: canvas.width, height: Math.min(Math.ceil(height * across), canvas.height) }
    : { width: Math.min(Math.ceil(width * down), canvas.width), height: canvas.height };
}

/** Of a picture's `length` centred in `canvas`, what a window at `start` sees, and where it lies in the window. */
function overlap(
  start: number,
  window: number,
  canvas: number,
  length: number,
): { readonly from: number; readonly length: number; readonly at: number } {
  const offset = Math.floor((canvas - length) / 2);
  const from = Math.max(start - offset, 0);
  const end = Math.min(start + window - offset, length);
  return { from, length: Math.max(0, end - from), at: Math.max(offset - start, 0) };
}
