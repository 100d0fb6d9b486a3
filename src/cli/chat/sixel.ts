// Pixels → sixels (DEC's VT3xx graphics, Programmer Reference Manual EK-VT3XX-GP): six rows a band, one pass a colour.
import type { Pixels } from "../../image/pixels.ts";

const levels = [6, 7, 6] as const;
const colours = levels[0] * levels[1] * levels[2];

/** A picture in 252 fixed colours, errors diffused (Floyd and Steinberg 1976). */
export function encodeSixel(pixels: Pixels): string {
  const { width, height } = pixels;
  const indices = quantised(pixels);
  const used = new Set(indices);
  const palette = [...used].map((index) => {
    const parts = partsOf(index).map((part, c) => Math.round((100 * part) / (levels[c]! - 1)));
    return `#${index};2;${parts.join(";")}`;
  });
  const bands = Array.from({ length: Math.ceil(height / 6) }, (_, band) =>
    bandText(indices.subarray(band * 6 * width, (band + 1) * 6 * width), width),
  );
  // 0;1: pixels that are not set stay as they are; the raster's size is told in advance
  return `\u001BP0;1;0q"1;1;${width};${height}${palette.join("")}${bands.join("-")}\u001B\\`;
}

function partsOf(index: number): readonly [number, number, number] {
  return [Math.floor(index / (levels[1] * levels[2])), Math.floor(index / levels[2]) % levels[1], index % levels[2]];
}

/** The palette's index of each pixel. */
function quantised({ width, height, data }: Pixels): Uint8Array {
  const indices = new Uint8Array(width * height);
  const values = Float32Array.from(data);
  const add = (x: number, y: number, c: number, error: number): void => {
    if (x >= 0 && x < width && y < height) values[(y * width + x) * 3 + c]! += error;
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let index = 0;
      for (let c = 0; c < 3; c++) {
        const value = values[(y * width + x) * 3 + c]!;
        const steps = levels[c]! - 1;
        const part = Math.min(steps, Math.max(0, Math.round((value / 255) * steps)));
        const error = value - (part * 255) / steps;
        add(x + 1, y, c, (error * 7) / 16);
        add(x - 1, y + 1, c, (error * 3) / 16);
        add(x, y + 1, c, (error * 5) / 16);
        add(x + 1, y + 1, c, error / 16);
        index = index * levels[c]! + part;
      }
      indices[y * width + x] = index;
    }
  }
  return indices;
}

/** Six rows (the last band may have fewer): for each colour its bits in every column, runs counted. */
function bandText(indices: Uint8Array, width: number): string {
  const rows = indices.length / width;
  const masks = Array.from({ length: colours }, (): Uint8Array | undefined => undefined);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < width; x++) {
      const index = indices[y * width + x]!;
      (masks[index] ??= new Uint8Array(width))[x]! |= 1 << y;
    }
  }
  const passes = [...masks.entries()].flatMap(([index, mask]) => (mask ? [`#${index}${runs(mask)}`] : []));
  return passes.join("$");
}

function runs(mask: Uint8Array): string {
  let text = "";
  for (let x = 0; x < mask.length;) {
    let end = x + 1;
    while (end < mask.length && mask[end] === mask[x]) end++;
    const sign = String.fromCharCode(63 + mask[x]!);
    text += end - x > 3 ? `!${end - x}${sign}` : sign.repeat(end - x);
    x = end;
  }
  return text;
}
