// A source: COCO's JSON, captions and instances, one of them or both.
import { basename, dirname, join } from "node:path";
import { readdir, stat } from "node:fs/promises";
import { InputError } from "../../errors.ts";
import { jsonSections } from "../json-items.ts";
import { picturePath } from "../picture-path.ts";
import type { BoxedObject } from "../sample.ts";
import { isRecord, listed, refused, shown } from "../untrusted.ts";
import { fractions, isLength } from "./boxes.ts";
import { Gathered } from "./gathered.ts";
import { findImagesRoot, settleMissing } from "./images.ts";
import { sourceOf, type Source, type SourceOptions } from "./source.ts";

interface CocoImage {
  readonly image: string;
  readonly width: unknown;
  readonly height: unknown;
}

interface CocoBox {
  readonly image: unknown;
  readonly category: unknown;
  /** [x, y, width, height] in pixels */
  readonly box: unknown;
  readonly where: string;
}

/** What one file says; lists are joined only when all is read, since COCO names its categories last. */
interface CocoFile {
  readonly path: string;
  readonly images: Map<unknown, CocoImage>;
  readonly categories: Map<unknown, string>;
  readonly captions: { readonly image: unknown; readonly caption: string }[];
  readonly boxes: CocoBox[];
  crowds: number;
  /** annotations with key points, and pictures with panoptic segments: neither is read */
  keypoints: number;
  panoptic: number;
  /** annotations with an outline, of which the box alone is read */
  outlines: number;
}

/**
 * Opens a COCO file and the one that belongs to it (`captions_x.json` and `instances_x.json`), when it lies beside.
 * Boxes become fractions, cut at the picture's edges; crowd regions, and boxes without area, are left out. A picture
 * of an instances file without boxes has an empty list: none of the categories is there.
 *
 * @throws InputError `COCO_SHAPE`, `CAPTIONS_UNKNOWN_PICTURES`, `CAPTIONS_EMPTY`, `PICTURES_MISSING`, `IMAGES_FOLDER`,
 *   and what `jsonSections` throws
 */
export async function openCoco(path: string, options: SourceOptions): Promise<Source> {
  const files = await Promise.all([path, ...(await partnerOf(path))].map(readCoco));
  const gathered = new Gathered();
  const notes: string[] = [];
  for (const file of files) {
    refuseUnknown(file);
    notes.push(...gather(file, gathered));
  }
  if (gathered.size === 0) {
    throw new InputError("CAPTIONS_EMPTY", { expected: '"images" with at least one entry', got: "none", where: path });
  }
  const root = await findImagesRoot(dirname(path), gathered, options);
  const unread = (await readdir(dirname(path))).filter((name) =>
    /^(person_keypoints|panoptic|stuff)_.*\.json$/.test(name),
  );
  const others = unread.filter((name) => name !== basename(path));
  if (others.length > 0) notes.push(`not read: ${listed(others)}`);
  notes.push(...(await settleMissing(gathered, root, path, "PICTURES_MISSING", options)));
  return sourceOf("coco", root, gathered, notes);
}

/** The instances file of a captions file and the other way round, by name. */
async function partnerOf(path: string): Promise<string[]> {
  const name = basename(path);
  const partner = name.includes("captions")
    ? name.replace("captions", "instances")
    : name.replace("instances", "captions");
  const file = join(dirname(path), partner);
  const there = partner !== name && (await stat(file).catch(() => undefined))?.isFile() === true;
  return there ? [file] : [];
}

async function readCoco(path: string): Promise<CocoFile> {
  const file: CocoFile = {
    path,
    images: new Map(),
    categories: new Map(),
    captions: [],
    boxes: [],
    crowds: 0,
    keypoints: 0,
    panoptic: 0,
    outlines: 0,
  };
  for await (const { section, value, line } of jsonSections(path)) {
    if (section !== "images" && section !== "annotations" && section !== "categories") continue;
    const where = `${path}:${line}`;
    if (!isRecord(value)) throw refused("COCO_SHAPE", `an object in "${section}"`, shown(value), where);
    if (section === "images") addImage(file, value, where);
    else if (section === "categories") file.categories.set(value["id"], nameOf(value, where));
    else addAnnotation(file, value, where);
  }
  return file;
}

function addImage(file: CocoFile, entry: Readonly<Record<string, unknown>>, where: string): void {
  const { id, file_name, width, height } = entry;
  if (id === undefined) throw refused("COCO_SHAPE", '"id" of an image', shown(entry), where);
  file.images.set(id, { image: picturePath(file_name, where), width, height });
}

function nameOf({ name }: Readonly<Record<string, unknown>>, where: string): string {
  if (typeof name !== "string" || name.trim() === "")
    throw refused("COCO_SHAPE", '"name" of a category', shown(name), where);
  return name.trim();
}

function addAnnotation(file: CocoFile, entry: Readonly<Record<string, unknown>>, where: string): void {
  const { image_id: image, caption, category_id: category, bbox: box, iscrowd } = entry;
  if (Array.isArray(entry["keypoints"])) file.keypoints++;
  if (Array.isArray(entry["segments_info"])) file.panoptic++;
  else if (typeof caption === "string") file.captions.push({ image, caption });
  else if (category === undefined)
    throw refused("COCO_SHAPE", '"caption" or "category_id" of an annotation', shown(entry), where);
  else if (iscrowd === 1 || iscrowd === true) file.crowds++;
  else {
    const { segmentation } = entry;
    if (Array.isArray(segmentation) ? segmentation.length > 0 : isRecord(segmentation)) file.outlines++;
    file.boxes.push({ image, category, box, where });
  }
}

function refuseUnknown({ path, images, captions, boxes }: CocoFile): void {
  const named = new Set([...captions, ...boxes].map(({ image }) => image));
  const unknown = [...named].filter((image) => !images.has(image));
  if (unknown.length === 0) return;
  throw new InputError("CAPTIONS_UNKNOWN_PICTURES", {
    expected: 'every "image_id" of "annotations" in "images"',
    got: `${unknown.length} unknown: ${listed(unknown.map(String))}`,
    where: path,
    fix: "take both lists from the same file",
  });
}

/** Adds a file to what is known; returns what was left out. */
function gather(file: CocoFile, gathered: Gathered): string[] {
  const boxed = file.boxes.length > 0 || file.categories.size > 0;
  for (const { image } of file.images.values()) gathered.add(image, { objects: boxed ? [] : undefined });
  const imageOf = (id: unknown): CocoImage => file.images.get(id) as CocoImage;
  for (const { image, caption } of file.captions) gathered.add(imageOf(image).image, { captions: [caption] });
  let [flat, cut] = [0, 0];
  for (const box of file.boxes) {
    const image = imageOf(box.image);
    const object = toObject(box, image, file.categories);
    if (object === undefined) flat++;
    else {
      if (isBeyond(box, image)) cut++;
      gathered.add(image.image, { objects: [object] });
    }
  }
  const notes: string[] = [];
  const different = new Set(file.captions.map(({ image, caption }) => `${String(image)}\n${caption.trim()}`));
  const equal = file.captions.length - different.size;
  if (equal > 0) notes.push(`left out: ${equal} captions of ${file.path} that repeat another of their picture`);
  if (file.crowds > 0) notes.push(`left out: ${file.crowds} crowd regions of ${file.path}`);
  if (file.keypoints > 0) notes.push(`not read: key points of ${file.keypoints} boxes of ${file.path}`);
  if (file.panoptic > 0) notes.push(`not read: panoptic segments of ${file.panoptic} pictures of ${file.path}`);
  if (file.outlines > 0) notes.push(`not read: outlines of ${file.outlines} boxes of ${file.path}`);
  if (flat > 0) notes.push(`left out: ${flat} boxes without area of ${file.path}`);
  if (cut > 0) notes.push(`cut at the picture's edges: ${cut} boxes of ${file.path}`);
  return notes;
}

/** Whether a box leads out of its picture by more than rounding. */
function isBeyond({ box }: CocoBox, { width, height }: CocoImage): boolean {
  const [x, y, w, h] = box as [number, number, number, number];
  return Math.max(-x, -y, x + w - (width as number), y + h - (height as number)) > 1e-3;
}

/** Pixels to fractions; undefined for a box without area inside the picture. */
function toObject(
  box: CocoBox,
  { width, height }: CocoImage,
  categories: CocoFile["categories"],
): BoxedObject | undefined {
  const name = categories.get(box.category);
  if (name === undefined)
    throw refused("COCO_SHAPE", '"category_id" of a known category', shown(box.category), box.where);
  if (!isLength(width) || !isLength(height)) {
    throw refused(
      "COCO_SHAPE",
      '"width" and "height" in pixels for each image with boxes',
      shown({ width, height }),
      box.where,
    );
  }
  const numbers = Array.isArray(box.box) && box.box.length === 4 && box.box.every(Number.isFinite);
  if (!numbers) throw refused("COCO_SHAPE", '"bbox": [x, y, width, height] in pixels', shown(box.box), box.where);
  const [x, y, w, h] = box.box as [number, number, number, number];
  const inside = fractions([x, y, x + w, y + h], { width, height });
  return inside === undefined ? undefined : { name, box: inside };
}
