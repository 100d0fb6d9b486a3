// Pictures in memory: 8-bit RGB pixels, how other channel layouts become them, and EXIF orientation.

/** An 8-bit RGB picture; `data` holds `height × width × 3` bytes, rows from top to bottom. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** The channel layouts that decoders return. */
export type Channels = "grey" | "grey+alpha" | "rgb" | "rgb+alpha" | "cmyk";

const samples: Readonly<Record<Channels, number>> = { grey: 1, "grey+alpha": 2, rgb: 3, "rgb+alpha": 4, cmyk: 4 };

/**
 * RGB bytes from interleaved bytes of another layout. Transparency is composited onto white and CMYK is converted
 * without a colour profile, both with Pillow's roundings (`Image.alpha_composite`, `convert("RGB")`), because that
 * is what the pictures of the public vision encoders went through.
 */
export function toRgb(data: Uint8Array, channels: Channels): Uint8Array {
  if (channels === "rgb") return data;
  const step = samples[channels];
  const count = Math.floor(data.length / step);
  const rgb = new Uint8Array(count * 3);
  const convert = converters[channels];
  for (let i = 0; i < count; i++) convert(data, i * step, rgb, i * 3);
  return rgb;
}

type Convert = (data: Uint8Array, at: number, rgb: Uint8Array, to: number) => void;

const converters: Readonly<Record<Exclude<Channels, "rgb">, Convert>> = {
  grey: (data, at, rgb, to) => {
    rgb[to] = rgb[to + 1] = rgb[to + 2] = data[at]!;
  },
  "grey+alpha": (data, at, rgb, to) => {
    rgb[to] = rgb[to + 1] = rgb[to + 2] = overWhite(data[at]!, data[at + 1]!);
  },
  "rgb+alpha": (data, at, rgb, to) => {
    for (let c = 0; c < 3; c++) rgb[to + c] = overWhite(data[at + c]!, data[at + 3]!);
  },
  cmyk: (data, at, rgb, to) => {
    const light = 255 - data[at + 3]!;
    for (let c = 0; c < 3; c++) rgb[to + c] = light - divide255(data[at + c]! * light);
  },
};

function overWhite(value: number, alpha: number): number {
  return divide255(value * alpha + 255 * (255 - alpha));
}

/** n / 255 rounded to nearest, for 0 ≤ n ≤ 255² */
function divide255(n: number): number {
  return (((n + 128) >> 8) + n + 128) >> 8;
}

/** A picture's EXIF orientation: 1 is upright; 5 to 8 swap width and height. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

export function swapsSides(orientation: Orientation): boolean {
  return orientation >= 5;
}

/** The upright picture of one stored with `orientation` (EXIF 2.32, tag 0x0112). */
export function orient(pixels: Pixels, orientation: Orientation): Pixels {
  if (orientation === 1) return pixels;
  const { width, height, data } = pixels;
  const turned = swapsSides(orientation);
  const out = new Uint8Array(data.length);
  const [outWidth, outHeight] = turned ? [height, width] : [width, height];
  // stored x runs backwards in 2, 3, 7, 8; stored y runs backwards in 3, 4, 6, 7
  const backX = [2, 3, 7, 8].includes(orientation);
  const backY = [3, 4, 6, 7].includes(orientation);
  for (let y = 0, to = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++, to += 3) {
      const [u, v] = turned ? [y, x] : [x, y];
      const from = ((backY ? height - 1 - v : v) * width + (backX ? width - 1 - u : u)) * 3;
      out[to] = data[from]!;
      out[to + 1] = data[from + 1]!;
      out[to + 2] = data[from + 2]!;
    }
  }
  return { width: outWidth, height: outHeight, data: out };
}
