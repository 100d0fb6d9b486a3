// A source: pictures with a text file of the same name beside each, one caption a line.
import { opendir } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../../errors.ts";
import { readTextFile } from "../../formats/node.ts";
import { picturePath } from "../picture-path.ts";
import { listed } from "../untrusted.ts";
import { Gathered } from "./gathered.ts";
import { sourceOf, type Source, type SourceOptions } from "./source.ts";

/** Endings of pictures that can be read. */
export const PICTURE_ENDING = /\.(jpe?g|png|webp|gif)$/i;
/** Longer texts are no captions. */
const LARGEST = 2 ** 20;
const DEEPEST = 8;

/** Whether a folder holds a picture with its text; looks at no more than what `names` tells. */
export function hasSidecars(names: readonly string[]): boolean {
  const texts = new Set(names.filter((name) => name.endsWith(".txt")).map((name) => name.slice(0, -4)));
  return names.some((name) => PICTURE_ENDING.test(name) && texts.has(name.replace(PICTURE_ENDING, "")));
}

/**
 * Opens a folder of pictures and texts, folders below it included, in the order of their names. Pictures without a
 * text are left out with a note.
 *
 * @throws InputError `CAPTIONS_UNKNOWN_PICTURES` for texts without a picture, `CAPTIONS_EMPTY`, `TEXT_INVALID`,
 *   `FILE_TOO_LARGE`
 */
export async function openSidecars(root: string, options: SourceOptions): Promise<Source> {
  const { pictures, texts } = await list(root);
  const gathered = new Gathered();
  let bare = 0;
  for (const image of pictures) {
    const text = image.replace(PICTURE_ENDING, ".txt");
    if (!texts.delete(text)) {
      bare++;
      continue;
    }
    const file = join(root, text);
    const lines = (await readTextFile(file, { maxBytes: LARGEST })).replace(/^\ufeff/, "").split(/\r?\n/);
    gathered.add(picturePath(image, file), { captions: lines });
  }
  const notes = settleTexts([...texts], root, options);
  if (bare > 0) notes.push(`left out: ${bare} pictures without a text beside them`);
  if (gathered.size === 0) {
    const expected = "at least one picture with a .txt of its name beside it";
    throw new InputError("CAPTIONS_EMPTY", { expected, got: "none", where: root });
  }
  return sourceOf("sidecar", root, gathered, notes);
}

function settleTexts(lonely: readonly string[], root: string, { missing }: SourceOptions): string[] {
  // read me, licence and requirements are no captions
  const meant = lonely.filter((name) => !/(^|\/)(readme|licen[sc]e|requirements|classes|labels)[^/]*$/i.test(name));
  if (meant.length === 0) return [];
  const got = `${meant.length} without: ${listed(meant)}`;
  if (missing === "skip") return [`left out: texts without a picture, ${got}`];
  const fix = "add the pictures or remove the texts, or leave them out with --skip-missing";
  throw new InputError("CAPTIONS_UNKNOWN_PICTURES", { expected: "a picture for every text", got, where: root, fix });
}

async function list(root: string): Promise<{ pictures: string[]; texts: Set<string> }> {
  const pictures: string[] = [];
  const texts = new Set<string>();
  const walk = async (folder: string, depth: number): Promise<void> => {
    for await (const entry of await opendir(join(root, folder), { bufferSize: 1024 })) {
      const name = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.name.startsWith(".")) continue;
      if (entry.isDirectory() && depth < DEEPEST) await walk(name, depth + 1);
      else if (PICTURE_ENDING.test(name)) pictures.push(name);
      else if (name.endsWith(".txt")) texts.add(name);
    }
  };
  await walk("", 0);
  return { pictures: pictures.sort(), texts };
}
