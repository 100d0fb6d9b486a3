// A small picture on the terminal, by whatever protocol it knows; where it knows none, two pixels a character.
import { encodePng, resizePixels } from "../../image/node.ts";
import type { Pixels } from "../../image/pixels.ts";
import type { TerminalGraphics } from "./graphics.ts";
import { encodeSixel } from "./sixel.ts";

export interface PreviewOptions extends TerminalGraphics {
  /** room on the terminal, in characters */
  readonly columns: number;
  readonly rows: number;
  /** bits of colour */
  readonly depth: number;
}

const ESC = "\u001B";
/** bytes of base64 that kitty takes at once */
const kittyChunk = 4096;

/** The picture as a terminal shows it, ended by a line feed; "" where it can show none. */
export async function previewOf(pixels: Pixels, options: PreviewOptions): Promise<string> {
  const { kind, cell, columns, rows } = options;
  if (kind === "none" || columns < 2 || rows < 1) return "";
  // half a block is about as wide as it is high
  const unit = kind === "blocks" ? { width: 1, height: 2 } : cell;
  const small = await fitted(pixels, columns * unit.width, rows * unit.height);
  const size = { columns: Math.ceil(small.width / unit.width), rows: Math.ceil(small.height / unit.height) };
  switch (kind) {
    case "kitty":
      return `${kittyText(await encodePng(small), size)}\n`;
    case "iterm2":
      return `${itermText(await encodePng(small), size)}\n`;
    case "sixel":
      return `${encodeSixel(small)}\n`;
    case "blocks":
      return blocksText(small, options.depth);
  }
}

/** As large as there is room, in its own shape; never enlarged. */
function fitted(pixels: Pixels, width: number, height: number): Promise<Pixels> {
  const scale = Math.min(1, width / pixels.width, height / pixels.height);
  const side = (length: number): number => Math.max(1, Math.round(length * scale));
  return resizePixels(pixels, side(pixels.width), side(pixels.height));
}

interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** Transmit and show at once (a=T) a PNG (f=100), without replies (q=2), in chunks. */
function kittyText(png: Uint8Array, { columns, rows }: Size): string {
  const data = Buffer.from(png).toString("base64");
  const chunks = data.match(new RegExp(`.{1,${kittyChunk}}`, "g")) ?? [];
  return chunks
    .map((chunk, i) => {
      const head = i === 0 ? `a=T,f=100,q=2,c=${columns},r=${rows},` : "";
      return `${ESC}_G${head}m=${i < chunks.length - 1 ? 1 : 0};${chunk}${ESC}\\`;
    })
    .join("");
}

/** iterm2.com/documentation-images.html */
function itermText(png: Uint8Array, { columns, rows }: Size): string {
  const size = `size=${png.length};width=${columns};height=${rows};preserveAspectRatio=1`;
  return `${ESC}]1337;File=inline=1;${size}:${Buffer.from(png).toString("base64")}\u0007`;
}

/** Upper half blocks: the upper pixel in the foreground, the lower behind it. */
function blocksText({ width, height, data }: Pixels, depth: number): string {
  const colour = depth >= 24 ? trueColour : nearest256;
  let text = "";
  for (let y = 0; y < height; y += 2) {
    let last = "";
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3;
      const below = y + 1 < height ? colour(48, data, at + width * 3) : "49";
      const style = `${colour(38, data, at)};${below}`;
      text += `${style === last ? "" : `${ESC}[${style}m`}▀`;
      last = style;
    }
    text += `${ESC}[0m\n`;
  }
  return text;
}

function trueColour(layer: number, data: Uint8Array, at: number): string {
  return `${layer};2;${data[at]!};${data[at + 1]!};${data[at + 2]!}`;
}

/** Of xterm's 256 colours one near it: 24 greys from 8 on in steps of 10, or the cube of 0, 95, 135, 175, 215, 255. */
function nearest256(layer: number, data: Uint8Array, at: number): string {
  const [r, g, b] = [data[at]!, data[at + 1]!, data[at + 2]!];
  const isGrey = Math.max(r, g, b) - Math.min(r, g, b) < 12 && g >= 4 && g < 243;
  if (isGrey) return `${layer};5;${232 + Math.max(0, Math.round((g - 8) / 10))}`;
  const step = (value: number): number => (value < 48 ? 0 : value < 115 ? 1 : Math.floor((value - 35) / 40));
  return `${layer};5;${16 + 36 * step(r) + 6 * step(g) + step(b)}`;
}
