// Previews as terminals would read them: protocols taken apart again, colours counted.
import { describe, expect, it } from "vitest";
import { random } from "../../data/random.ts";
import { decodePicture } from "../../image/node.ts";
import type { Pixels } from "../../image/pixels.ts";
import { canBeAsked, colourDepth, type Graphics, graphicsOf } from "./graphics.ts";
import { previewOf } from "./preview.ts";
import { encodeSixel } from "./sixel.ts";
/* oxlint-disable no-control-regex */

const ESC = "\u001B";
/** red above blue */
const flag = (width: number, height: number): Pixels => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const upper = i < (width * height * 3) / 2;
    return i % 3 === (upper ? 0 : 2) ? 255 : 0;
  }),
});
const preview = (kind: Graphics, pixels = flag(200, 100), depth = 24): Promise<string> =>
  previewOf(pixels, { kind, cell: { width: 10, height: 20 }, columns: 10, rows: 10, depth });

describe("previews", () => {
  it("in blocks show two pixels a character, in the room there is", async () => {
    const signs = (text: string): string[] => text.replaceAll(/\u001B\[[\d;]*m/g, "").split("\n");
    // 200×100 in 10 columns are 10×5 pixels, the last line half empty
    expect(signs(await preview("blocks"))).toEqual([..."▀▀▀"].map((block) => block.repeat(10)).concat(""));
    const grey = { width: 2, height: 2, data: new Uint8Array(12).fill(128) };
    expect(await preview("blocks", grey, 8)).toBe(`${ESC}[38;5;244;48;5;244m▀▀${ESC}[0m\n`);
    const [red, blue] = ["255;0;0", "0;0;255"];
    expect((await preview("blocks", flag(8, 6))).split("\n").slice(0, 3)).toEqual([
      `${ESC}[38;2;${red};48;2;${red}m▀▀▀▀▀▀▀▀${ESC}[0m`,
      `${ESC}[38;2;${red};48;2;${blue}m▀▀▀▀▀▀▀▀${ESC}[0m`,
      `${ESC}[38;2;${blue};48;2;${blue}m▀▀▀▀▀▀▀▀${ESC}[0m`,
    ]);
    expect(await preview("blocks", flag(2, 1))).toBe(`${ESC}[38;2;${red};49m▀${ESC}[38;2;${blue};49m▀${ESC}[0m\n`);
    expect((await preview("blocks", flag(4, 4), 8)).split("\n")[0]).toBe(`${ESC}[38;5;196;48;5;196m▀▀▀▀${ESC}[0m`);
  });

  it("for kitty are a PNG in chunks, shown at once and without replies", async () => {
    const draw = random(1);
    const noise = { width: 100, height: 100, data: Uint8Array.from({ length: 30_000 }, () => draw.int(256)) };
    const text = await preview("kitty", noise);
    const chunks = [...text.matchAll(/\u001B_G([^;]*);([^\u001B]*)\u001B\\/g)];
    expect(chunks.map(([whole]) => whole).join("") + "\n").toBe(text);
    expect(chunks.length).toBeGreaterThan(3);
    expect(chunks[0]![1]).toBe("a=T,f=100,q=2,c=10,r=5,m=1");
    expect(chunks.slice(1).map(([, head]) => head)).toEqual([...chunks.slice(2).map(() => "m=1"), "m=0"]);
    expect(chunks.every(([, , data]) => data!.length <= 4096)).toBe(true);
    const png = Buffer.from(chunks.map(([, , data]) => data).join(""), "base64");
    expect(await decodePicture(png, "preview")).toEqual(noise);
  });

  it("for iTerm2 are a PNG and its size", async () => {
    const text = await preview("iterm2");
    const [, size, data] =
      /^\u001B\]1337;File=inline=1;size=(\d+);width=10;height=3;preserveAspectRatio=1:([\w+/=]+)\u0007\n$/.exec(text)!;
    const png = Buffer.from(data!, "base64");
    expect(png.length).toBe(Number(size));
    expect(await decodePicture(png, "preview")).toMatchObject({ width: 100, height: 50 });
  });

  it("are nothing where nothing can be shown", async () => {
    expect(await preview("none")).toBe("");
    expect(
      await previewOf(flag(4, 4), { kind: "blocks", cell: { width: 1, height: 2 }, columns: 20, rows: 0, depth: 24 }),
    ).toBe("");
  });
});

/** Reads sixels back: colours of the pixels that were set, rows from top to bottom. */
function decodeSixel(text: string): Pixels {
  const [, width, height, body] = /^\u001BP0;1;0q"1;1;(\d+);(\d+)(.*)\u001B\\$/s.exec(text)!;
  const pixels = {
    width: Number(width),
    height: Number(height),
    data: new Uint8Array(Number(width) * Number(height) * 3),
  };
  const palette = new Map<number, readonly number[]>();
  let [x, band, colour, repeat] = [0, 0, 0, 1];
  for (const [sign, index, rgb, count] of body!.matchAll(/#(\d+)(?:;2;(\d+;\d+;\d+))?|!(\d+)|[?-~$-]/g)) {
    if (rgb !== undefined)
      palette.set(
        Number(index),
        rgb.split(";").map((part) => Math.round((Number(part) * 255) / 100)),
      );
    else if (index !== undefined) colour = Number(index);
    else if (sign === "$") x = 0;
    else if (sign === "-") [x, band] = [0, band + 1];
    else if (count !== undefined) repeat = Number(count);
    else {
      for (; repeat > 0; repeat--, x++)
        for (let bit = 0; bit < 6; bit++)
          if ((sign.charCodeAt(0) - 63) & (1 << bit))
            pixels.data.set(palette.get(colour)!, ((band * 6 + bit) * pixels.width + x) * 3);
      repeat = 1;
    }
  }
  return pixels;
}
describe("sixels", () => {
  it("are the picture, where its colours are in the palette", () => {
    for (const [width, height] of [
      [7, 8],
      [1, 1],
      [30, 13],
    ] as const) {
      const even = flag(width, 2 * Math.ceil(height / 2));
      expect(decodeSixel(encodeSixel(even))).toEqual(even);
    }
  });

  it("keep the mean of what is between the palette's colours", () => {
    const grey = { width: 40, height: 40, data: new Uint8Array(4800).fill(120) };
    const { data } = decodeSixel(encodeSixel(grey));
    const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
    expect(mean).toBeGreaterThan(116);
    expect(mean).toBeLessThan(124);
  });
});

describe("a terminal", () => {
  const device = `${ESC}[?62;22c`;
  it.each([
    ["kitty", `${ESC}_Gi=31;OK${ESC}\\${ESC}P>|kitty(0.35)${ESC}\\${device}`, {}, 24],
    ["iterm2", `${ESC}P>|iTerm2 3.5${ESC}\\${device}`, {}, 24],
    ["iterm2", device, { LC_TERMINAL: "iTerm2" }, 24],
    ["sixel", `${ESC}P>|foot(1.16)${ESC}\\${ESC}[?62;4;22c`, {}, 24],
    ["blocks", `${ESC}[?4;22c`, {}, 24],
    ["blocks", device, { TMUX: "x", LC_TERMINAL: "iTerm2" }, 8],
    ["blocks", "", {}, 8],
    ["none", device, {}, 4],
    ["none", `${ESC}_Gi=31;OK${ESC}\\`, {}, 1],
  ])("shows %s when it says %j", (kind, reply, env, depth) => {
    expect(graphicsOf(reply, env, depth).kind).toBe(kind);
  });

  it("tells how large its characters are", () => {
    expect(graphicsOf(`${ESC}[6;28;14t${device}`, {}, 24).cell).toEqual({ width: 14, height: 28 });
    for (const reply of ["", `${ESC}[6;0;0t`]) expect(graphicsOf(reply, {}, 24).cell).toEqual({ width: 8, height: 16 });
  });

  it("has the colours that it says it has", () => {
    const [rich, plain] = [{ COLORTERM: "truecolor" }, { COLORTERM: "yes" }];
    expect([colourDepth(8, rich), colourDepth(8, plain), colourDepth(1, rich)]).toEqual([24, 8, 1]);
  });

  it("is not asked what it would print", () => {
    const asked = [
      {},
      { TERM: "dumb" },
      { TERM: "linux" },
      { TERM: "xterm", TERM_PROGRAM: "Apple_Terminal" },
      { TERM: "xterm" },
    ];
    expect(asked.map(canBeAsked)).toEqual([false, false, false, false, true]);
  });
});
