// A source: Visual Genome's JSON, objects and described regions, with image_data.json beside them.
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { jsonItems } from "../json-items.ts";
import { picturePath } from "../picture-path.ts";
import { isRecord, refused, shown } from "../untrusted.ts";
import { openAnnotated, type Annotated, type PixelBox } from "./boxes.ts";
import type { Source, SourceOptions } from "./source.ts";

const FILES = ["objects.json", "region_descriptions.json"];
const SIZES = "image_data.json";

interface Picture {
  readonly image: string;
  readonly width: unknown;
  readonly height: unknown;
}

/** Whether files of a folder are Visual Genome's. */
export function visualGenomeFile(names: readonly string[]): string | undefined {
  return names.includes(SIZES) ? FILES.find((name) => names.includes(name)) : undefined;
}

/**
 * Opens Visual Genome (Krishna et al. 2016, arXiv 1602.07332) by any of its files: `image_data.json` tells names and
 * sizes, `objects.json` things, `region_descriptions.json` phrases with boxes. Attributes and relations are not read.
 *
 * @throws InputError `VISUAL_GENOME_SHAPE`, and what `openAnnotated` and `jsonItems` throw
 */
export async function openVisualGenome(path: string, options: SourceOptions): Promise<Source> {
  const folder = dirname(path);
  const names = await readdir(folder);
  if (!names.includes(SIZES)) {
    const fix = `put ${SIZES} of the same version beside it`;
    throw refused("VISUAL_GENOME_SHAPE", `${SIZES} beside ${basename(path)}`, "none", folder, fix);
  }
  const files = FILES.filter((name) => names.includes(name)).map((name) => join(folder, name));
  return openAnnotated("visual-genome", folder, annotations(join(folder, SIZES), files), options);
}

async function* annotations(sizes: string, files: readonly string[]): AsyncGenerator<Annotated> {
  const pictures = new Map<unknown, Picture>();
  for await (const { value, line } of jsonItems(sizes)) {
    const { id, picture } = readPicture(value, `${sizes}:${line}`);
    pictures.set(id, picture);
  }
  for (const file of files) {
    for await (const { value, line } of jsonItems(file)) {
      const where = `${file}:${line}`;
      const { image_id, id, objects, regions } = record(value, where);
      const picture = pictures.get(image_id ?? id);
      if (picture === undefined)
        throw refused("VISUAL_GENOME_SHAPE", `an image of ${sizes}`, shown(image_id ?? id), where);
      if (Array.isArray(objects)) yield { ...picture, where, objects: objects.map((each) => named(each, where)) };
      else if (Array.isArray(regions)) yield { ...picture, where, regions: regions.map((each) => named(each, where)) };
      else throw refused("VISUAL_GENOME_SHAPE", '"objects" or "regions": a list', shown(value), where);
    }
  }
}

/** Pictures lie as their address ends: VG_100K/2.jpg. */
function readPicture(value: unknown, where: string): { id: unknown; picture: Picture } {
  const { image_id, id = image_id, url, width, height } = record(value, where);
  if (typeof id !== "number") throw refused("VISUAL_GENOME_SHAPE", '"image_id": a number', shown(id), where);
  const path = typeof url === "string" ? url.split("/").slice(-2).join("/") : `${id}.jpg`;
  return { id, picture: { image: picturePath(path, where), width, height } };
}

function named(value: unknown, where: string): PixelBox {
  const { names, name, phrase, ...box } = record(value, where);
  const text: unknown = phrase ?? (Array.isArray(names) ? names[0] : name);
  if (typeof text !== "string" || text.trim() === "")
    throw refused("VISUAL_GENOME_SHAPE", '"names" or "phrase"', shown(value), where);
  const { x, y } = box;
  const [w, h] = [box["w"] ?? box["width"], box["h"] ?? box["height"]];
  if (![x, y, w, h].every(Number.isFinite))
    throw refused("BOX", '"x", "y", "w" and "h" in pixels', shown(value), where);
  const [left, top] = [x as number, y as number];
  return { name: text.trim(), edges: [left, top, left + (w as number), top + (h as number)] };
}

function record(value: unknown, where: string): Record<string, unknown> {
  if (isRecord(value)) return value;
  throw refused("VISUAL_GENOME_SHAPE", "an object", shown(value), where);
}
