// Writes samples as COCO's JSON: captions, and in a file of its own beside them the boxes of pictures whose boxes are known.
import { basename, dirname, join } from "node:path";
import { writeFileAtomic } from "../formats/node.ts";
import { probePicture } from "../image/node.ts";
import { knownKeys } from "./caption-samples.ts";
import { pictureFile } from "./picture-path.ts";
import type { BoxedObject, Sample } from "./sample.ts";
import { parseObjects } from "./sources/rows.ts";
import { count, listed, refused } from "./untrusted.ts";

export interface CocoOptions {
  readonly imagesRoot: string;
  /** questions whose answers are captions, besides the picture alone */
  readonly requests: ReadonlySet<string>;
}

export interface CocoWritten {
  /** samples whose caption was written */
  readonly samples: number;
  /** the files, captions first */
  readonly files: readonly string[];
  /** what COCO has no place for, as sentences for a person */
  readonly notes: readonly string[];
}

/** What a sample gives: a caption, the boxes of its picture, or both; undefined where COCO has no place for it. */
interface Said {
  readonly image: string;
  readonly caption?: string;
  readonly objects?: readonly BoxedObject[];
}

interface Listed {
  readonly id: number;
  readonly width: number;
  readonly height: number;
}

/** The file of boxes that belongs to a file of captions, by COCO's own names. Throws `COCO_NAME`. */
export function instancesPath(path: string): string {
  const name = basename(path);
  if (/captions.*\.json$/.test(name)) return join(dirname(path), name.replace("captions", "instances"));
  throw refused(
    "COCO_NAME",
    'a file name with "captions" that ends in .json',
    name,
    path,
    "name it captions_NAME.json",
  );
}

/**
 * Writes `captions_x.json`, and `instances_x.json` where samples have `objects`. Pictures of the second have all their
 * boxes there, so that a missing one means absence; boxes are in pixels, to a ten-thousandth.
 *
 * @param read the samples from the start, each time it is called
 * @throws InputError `COCO_NAME`, `COCO_EMPTY`, `BOX`, and what `probePicture` and `writeFileAtomic` throw
 */
export async function writeCoco(
  path: string,
  read: () => AsyncIterable<Sample>,
  { imagesRoot, requests }: CocoOptions,
): Promise<CocoWritten> {
  const instances = instancesPath(path);
  const survey = await surveyOf(read(), requests);
  if (survey.captions + survey.boxed.size === 0 && survey.notes.length > 0) {
    const fix = "write conversations as .json, .jsonl or .parquet";
    throw refused("COCO_EMPTY", "captions or boxes of single pictures", survey.notes.join("; "), path, fix);
  }
  const images = await measured(survey.images, imagesRoot);
  const said = async function* (): AsyncGenerator<Said> {
    for await (const sample of read()) yield saidOf(sample, requests) ?? { image: "" };
  };
  await writeFileAtomic(path, encodeCaptions(images, said()));
  if (survey.boxed.size === 0) return { samples: survey.captions, files: [path], notes: survey.notes };
  const boxed = new Map([...images].filter(([image]) => survey.boxed.has(image)));
  await writeFileAtomic(instances, encodeBoxes(boxed, said()));
  return { samples: survey.captions, files: [path, instances], notes: survey.notes };
}

interface Survey {
  readonly images: ReadonlySet<string>;
  readonly boxed: ReadonlySet<string>;
  readonly captions: number;
  readonly notes: readonly string[];
}

async function surveyOf(samples: AsyncIterable<Sample>, requests: ReadonlySet<string>): Promise<Survey> {
  const [images, boxed, keys] = [new Set<string>(), new Set<string>(), new Set<string>()];
  let [captions, talks, others, regions] = [0, 0, 0, 0];
  for await (const sample of samples) {
    if (sample.images.length !== 1) {
      others++;
      continue;
    }
    const said = saidOf(sample, requests);
    if (said?.caption === undefined) talks++;
    else captions++;
    if (said === undefined) continue;
    images.add(said.image);
    if (said.objects !== undefined) boxed.add(said.image);
    if (sample.extra["regions"] !== undefined) regions++;
    for (const key of Object.keys(sample.extra)) if (!knownKeys.some((known) => known === key)) keys.add(key);
  }
  const notes = [
    ...(others > 0 ? [`left out: ${count(others, "sample")} with no or several pictures`] : []),
    ...(talks > 0 ? [`left out: ${count(talks, "conversation")} that ${talks === 1 ? "is" : "are"} no caption`] : []),
    ...(regions > 0 ? [`not kept: phrases about parts of ${count(regions, "picture")}`] : []),
    ...(captions > 0 ? [`not kept: ids of samples${keys.size > 0 ? `, and ${listed([...keys])}` : ""}`] : []),
  ];
  return { images, boxed, captions, notes };
}

/** A caption is what is answered to the picture alone, or to one of the requests for a caption. */
function saidOf({ images, conversations, extra, where }: Sample, requests: ReadonlySet<string>): Said | undefined {
  const [image] = images;
  if (image === undefined || images.length > 1) return undefined;
  const [question, answer, more] = conversations;
  const asked = question?.value.replace("<image>", "").trim() ?? "";
  const isCaption = more === undefined && answer !== undefined && (asked === "" || requests.has(asked));
  const objects = parseObjects(extra["objects"], where);
  if (!isCaption && objects === undefined) return undefined;
  return { image, ...(isCaption && { caption: answer.value }), ...(objects && { objects }) };
}

/** Sizes as pictures are shown, read from their headers. */
async function measured(images: ReadonlySet<string>, root: string): Promise<Map<string, Listed>> {
  const listed = new Map<string, Listed>();
  for (const image of images) {
    const { width, height } = await probePicture(pictureFile(root, image));
    listed.set(image, { id: listed.size + 1, width, height });
  }
  return listed;
}

async function* encodeCaptions(
  images: ReadonlyMap<string, Listed>,
  said: AsyncIterable<Said>,
): AsyncGenerator<Uint8Array> {
  yield* encodeImages(images);
  const annotations = async function* (): AsyncGenerator<object> {
    let id = 0;
    for await (const { image, caption } of said) {
      if (caption !== undefined) yield { id: ++id, image_id: images.get(image)!.id, caption };
    }
  };
  yield* encodeList('"annotations"', annotations());
  yield Buffer.from("}\n");
}

async function* encodeBoxes(
  images: ReadonlyMap<string, Listed>,
  said: AsyncIterable<Said>,
): AsyncGenerator<Uint8Array> {
  const categories = new Map<string, number>();
  const done = new Set<string>();
  yield* encodeImages(images);
  const annotations = async function* (): AsyncGenerator<object> {
    let id = 0;
    for await (const { image, objects } of said) {
      // samples of one picture say the same of it
      if (objects === undefined || done.has(image)) continue;
      done.add(image);
      const { id: image_id, width, height } = images.get(image)!;
      for (const { name, box } of objects) {
        if (!categories.has(name)) categories.set(name, categories.size + 1);
        const bbox = inPixels(box, width, height);
        const area = rounded(bbox[2] * bbox[3]);
        yield { id: ++id, image_id, category_id: categories.get(name)!, bbox, area, iscrowd: 0 };
      }
    }
  };
  yield* encodeList('"annotations"', annotations());
  const named = [...categories].map(([name, id]) => JSON.stringify({ id, name }));
  yield Buffer.from(`,\n"categories": [\n${named.join(",\n")}\n]}\n`);
}

const rounded = (pixels: number): number => Math.round(pixels * 1e4) / 1e4;

/** x, y, width, height */
function inPixels(
  [x1, y1, x2, y2]: BoxedObject["box"],
  width: number,
  height: number,
): [number, number, number, number] {
  const [left, top] = [rounded(x1 * width), rounded(y1 * height)];
  return [left, top, rounded(x2 * width - left), rounded(y2 * height - top)];
}

async function* encodeImages(images: ReadonlyMap<string, Listed>): AsyncGenerator<Uint8Array> {
  yield Buffer.from("{");
  yield* encodeList(
    '"images"',
    [...images].map(([file_name, { id, width, height }]) => ({ id, file_name, width, height })),
  );
  yield Buffer.from(",\n");
}

/** Written at once; a write per item would take longer than the items. */
const CHUNK = 2 ** 20;

async function* encodeList(name: string, items: Iterable<object> | AsyncIterable<object>): AsyncGenerator<Uint8Array> {
  let text = `${name}: [`;
  let first = true;
  for await (const item of items) {
    text += `${first ? "" : ","}\n${JSON.stringify(item)}`;
    first = false;
    if (text.length < CHUNK) continue;
    yield Buffer.from(text);
    text = "";
  }
  yield Buffer.from(`${text}\n]`);
}
