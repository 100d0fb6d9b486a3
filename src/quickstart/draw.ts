// A scene becomes a picture: SVG in, JPEG bytes out, with a little grain so that no two backgrounds are flat.
import sharp from "sharp";
import { random } from "../data/random.ts";
import type { Random } from "../data/random.ts";
import { icons, paints } from "./icons.ts";
import type { Place, Scene, Thing } from "./scenes.ts";

/** Sky and ground of a place, top to bottom; the horizon is a fraction of the height. */
interface Backdrop {
  readonly sky: readonly [string, string];
  readonly ground: readonly [string, string];
  readonly horizon: number;
  /** scattered marks: a colour, and whether they lie in the sky or on the ground */
  readonly marks: { readonly colour: string; readonly on: "sky" | "ground"; readonly count: number };
}

const backdrops: Readonly<Record<Place, Backdrop>> = {
  meadow: {
    sky: ["#a9d8f5", "#dff2fb"],
    ground: ["#a8d08d", "#86b86b"],
    horizon: 0.42,
    marks: { colour: "#6d9c54", on: "ground", count: 26 },
  },
  beach: {
    sky: ["#bfe6f2", "#e6f6f8"],
    ground: ["#f1e0b4", "#e2c88d"],
    horizon: 0.5,
    marks: { colour: "#c7ab6f", on: "ground", count: 22 },
  },
  "field of snow": {
    sky: ["#c3cfdc", "#dfe6ed"],
    ground: ["#f1f5f9", "#dbe4ee"],
    horizon: 0.45,
    marks: { colour: "#ffffff", on: "sky", count: 30 },
  },
  desert: {
    sky: ["#f7d9a8", "#fbeccb"],
    ground: ["#dba667", "#c98d4e"],
    horizon: 0.46,
    marks: { colour: "#ab7338", on: "ground", count: 16 },
  },
  lake: {
    sky: ["#d4e9f7", "#eef7fc"],
    ground: ["#7fb7d6", "#5c9cc2"],
    horizon: 0.36,
    marks: { colour: "#c4e3f2", on: "ground", count: 24 },
  },
  "night sky": {
    sky: ["#101a3a", "#26346b"],
    ground: ["#26346b", "#38487f"],
    horizon: 0.8,
    marks: { colour: "#f5f3d0", on: "sky", count: 34 },
  },
};

/** The side of the pictures that the quickstart draws, in pixels. */
export const pictureSide = 192;

/** A scene as SVG text, `side` pixels wide and high. */
export function sceneSvg(scene: Scene, side: number = pictureSide): string {
  const stream = random("backdrop", scene.seed);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}" viewBox="0 0 100 100">` +
    backdropSvg(backdrops[scene.place], stream) +
    scene.things.map(thingSvg).join("") +
    `</svg>`
  );
}

/** A scene as RGB bytes, row by row, `side` × `side` × 3; deterministic. */
export async function sceneRgb(scene: Scene, side: number = pictureSide): Promise<Uint8Array> {
  const svg = Buffer.from(sceneSvg(scene, side));
  const { data } = await sharp(svg).removeAlpha().toColourspace("srgb").raw().toBuffer({ resolveWithObject: true });
  return addGrain(data, random("grain", scene.seed));
}

/** A scene as the bytes of a JPEG file. */
export async function sceneJpeg(scene: Scene, side: number = pictureSide): Promise<Uint8Array> {
  const rgb = await sceneRgb(scene, side);
  return sharp(rgb, { raw: { width: side, height: side, channels: 3 } })
    .jpeg({ quality: 92 })
    .toBuffer();
}

function backdropSvg(backdrop: Backdrop, stream: Random): string {
  const horizon = round(100 * backdrop.horizon + (stream.float() - 0.5) * 16);
  const gradient = (id: string, [top, bottom]: readonly [string, string]): string =>
    `<linearGradient id="${id}" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="${top}"/><stop offset="1" stop-color="${bottom}"/></linearGradient>`;
  const hill = round(horizon - 4 - stream.float() * 8);
  const bend = round(20 + 60 * stream.float());
  let svg =
    `<defs>${gradient("s", backdrop.sky)}${gradient("g", backdrop.ground)}</defs><rect width="100" height="100" fill="url(#s)"/>` +
    `<path d="M0 ${horizon}Q${bend} ${hill} 100 ${horizon}V100H0Z" fill="url(#g)"/>`;
  const { colour, on, count } = backdrop.marks;
  for (let i = 0; i < count; i++) {
    const x = round(100 * stream.float());
    const y = round(on === "sky" ? horizon * stream.float() : horizon + 2 + (98 - horizon) * stream.float());
    svg +=
      on === "sky"
        ? `<circle cx="${x}" cy="${y}" r="0.6" fill="${colour}"/>`
        : `<path d="M${x} ${y}h2" stroke="${colour}" stroke-width="0.8"/>`;
  }
  return svg;
}

function thingSvg(thing: Thing): string {
  const scale = thing.size;
  const left = round(100 * (thing.x - thing.size / 2));
  const top = round(100 * (thing.y - thing.size / 2));
  const turn = thing.tilt === 0 ? "" : ` rotate(${thing.tilt} 50 50)`;
  return `<g transform="translate(${left} ${top}) scale(${round(scale)})${turn}">${icons[thing.noun](paints[thing.colour])}</g>`;
}

/** Adds the same small random step to the three channels of each pixel, in place. */
function addGrain(rgb: Uint8Array, stream: Random): Uint8Array {
  for (let i = 0; i + 2 < rgb.length; i += 3) {
    const step = (stream.next() & 15) - 7;
    for (let c = i; c < i + 3; c++) rgb[c] = Math.max(0, Math.min(255, (rgb[c] as number) + step));
  }
  return rgb;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
