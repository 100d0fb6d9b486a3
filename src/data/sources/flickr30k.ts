// A source: Flickr30k Entities, sentences whose phrases have boxes.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { readTextFile } from "../../formats/node.ts";
import { picturePath } from "../picture-path.ts";
import { refused, shown } from "../untrusted.ts";
import { openAnnotated, type Annotated, type PixelBox } from "./boxes.ts";
import type { Source, SourceOptions } from "./source.ts";

const SENTENCES = "Sentences";
const BOXES = "Annotations";
const LARGEST = 2 ** 20;

/** Whether a folder is laid out as Flickr30k Entities. */
export function isFlickr30k(names: readonly string[]): boolean {
  return names.includes(SENTENCES) && names.includes(BOXES);
}

/**
 * Opens a folder with `Sentences/ID.txt` (phrases marked as `[/EN#1/people Two men]`) and `Annotations/ID.xml` (boxes
 * by the phrases' numbers, in pixels); see Plummer et al. 2015, arXiv 1505.04870. Phrases become regions.
 *
 * @throws InputError `FLICKR30K_SHAPE`, and what `openAnnotated` throws
 */
export function openFlickr30k(folder: string, options: SourceOptions): Promise<Source> {
  return openAnnotated("flickr30k", folder, annotations(folder), options);
}

async function* annotations(folder: string): AsyncGenerator<Annotated> {
  const names = (await readdir(join(folder, SENTENCES))).filter((name) => name.endsWith(".txt")).sort();
  for (const name of names) {
    const stem = name.slice(0, -".txt".length);
    const [texts, boxes] = [join(folder, SENTENCES, name), join(folder, BOXES, `${stem}.xml`)];
    const { captions, phrases } = readSentences(await readTextFile(texts, { maxBytes: LARGEST }), texts);
    const { width, height, byId } = readBoxes(await readTextFile(boxes, { maxBytes: LARGEST }), boxes);
    const regions = [...phrases].flatMap(([id, phrase]) =>
      (byId.get(id) ?? []).map((edges): PixelBox => ({ name: phrase, edges })),
    );
    yield { image: picturePath(`${stem}.jpg`, texts), width, height, captions, regions, where: boxes };
  }
}

const marked = /\[\/EN#(\d+)(?:\/[\w/]+)? ([^\][]+)\]/g;

/** The plain sentences, and the first phrase of each number. */
function readSentences(text: string, where: string): { captions: string[]; phrases: Map<string, string> } {
  const phrases = new Map<string, string>();
  const captions: string[] = [];
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    for (const [, id, phrase] of line.matchAll(marked)) {
      if (!phrases.has(id as string)) phrases.set(id as string, (phrase as string).trim());
    }
    const plain = line.replace(marked, "$2").trim();
    if (plain.includes("[/EN#"))
      throw refused("FLICKR30K_SHAPE", "phrases as [/EN#number/type words]", shown(line), `${where}:${i + 1}`);
    if (plain !== "") captions.push(plain);
  }
  return { captions, phrases };
}

interface Boxes {
  readonly width: unknown;
  readonly height: unknown;
  readonly byId: ReadonlyMap<string, PixelBox["edges"][]>;
}

/** Pascal VOC's layout, of which a few elements are read; what is no element of it is passed over. */
function readBoxes(text: string, where: string): Boxes {
  if (!/<annotation\b/.test(text)) throw refused("FLICKR30K_SHAPE", "<annotation>", shown(text), where);
  const byId = new Map<string, PixelBox["edges"][]>();
  for (const object of elements(text, "object")) {
    const box = elements(object, "bndbox")[0];
    // phrases of the whole scene, or of nothing that can be seen, have no box
    if (box === undefined) continue;
    const edges = ["xmin", "ymin", "xmax", "ymax"].map((name) => number(elements(box, name)[0]));
    if (!edges.every(Number.isFinite))
      throw refused("FLICKR30K_SHAPE", "xmin, ymin, xmax and ymax in pixels", shown(box), where);
    for (const id of elements(object, "name")) {
      byId.set(id.trim(), [...(byId.get(id.trim()) ?? []), edges as unknown as PixelBox["edges"]]);
    }
  }
  const size = elements(text, "size")[0] ?? "";
  return { width: number(elements(size, "width")[0]), height: number(elements(size, "height")[0]), byId };
}

/** The contents of all elements of a name, which do not nest in one another here. */
function elements(text: string, name: string): string[] {
  const found: string[] = [];
  const [open, close] = [`<${name}>`, `</${name}>`];
  for (let start = text.indexOf(open); start >= 0; start = text.indexOf(open, start + 1)) {
    const end = text.indexOf(close, start);
    if (end < 0) break;
    found.push(text.slice(start + open.length, end));
  }
  return found;
}

function number(text: string | undefined): number {
  return text === undefined || text.trim() === "" ? Number.NaN : Number(text);
}
