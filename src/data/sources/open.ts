// Opens a source: tells by name and content which kind a path is.
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../../errors.ts";
import { jsonItems } from "../json-items.ts";
import { isRecord, listed } from "../untrusted.ts";
import { openCoco } from "./coco.ts";
import { CAPTION_FILES, openFolder } from "./folder.ts";
import { openLlavaJson } from "./llava-json.ts";
import { looksLikeRow } from "./rows.ts";
import type { Source, SourceOptions } from "./source.ts";

type Kind = Source["kind"];
const openers: Readonly<Record<Kind, (path: string, options: SourceOptions) => Promise<Source>>> = {
  folder: openFolder,
  coco: openCoco,
  llava: openLlavaJson,
};

/**
 * Opens captioned pictures: a folder that holds a captions file, COCO annotations or LLaVA's JSON, or such a file itself.
 * Everything is read and checked, pictures are looked for but not opened.
 *
 * @throws InputError `SOURCE_MISSING`, `SOURCE_UNKNOWN`, `SOURCE_AMBIGUOUS`, and what the kind's own file throws
 */
export async function openSource(path: string, options: SourceOptions = {}): Promise<Source> {
  const status = await stat(path).catch(() => undefined);
  if (status === undefined) {
    throw new InputError("SOURCE_MISSING", {
      expected: "a folder or a file with captions",
      got: "nothing there",
      where: path,
    });
  }
  const file = status.isDirectory() ? await findFile(path) : path;
  const kind = await kindOf(file);
  if (kind === undefined) throw unknown(file, "a file of another shape");
  return openers[kind](file, options);
}

/** The file of a folder that describes its pictures. */
async function findFile(folder: string): Promise<string> {
  const names = await readdir(folder);
  const captions = CAPTION_FILES.find((name) => names.includes(name));
  if (captions !== undefined) return join(folder, captions);
  const below = names.includes("annotations") ? await readdir(join(folder, "annotations")).catch(() => []) : [];
  const files = [...names, ...below.map((name) => join("annotations", name))];
  const coco = files.filter((name) => /(captions|instances)[^/]*\.json$|coco\.json$/.test(name));
  // a captions file and its instances file are opened together
  const heads = coco.filter(
    (name) => !coco.includes(name.replace("instances", "captions")) || name.includes("captions"),
  );
  if (heads.length > 0) return join(folder, only(heads, folder));
  const known: string[] = [];
  for (const name of names.filter((name) => /\.jsonl?$/.test(name))) {
    if ((await kindOf(join(folder, name)).catch(() => undefined)) !== undefined) known.push(name);
  }
  if (known.length === 0)
    throw unknown(folder, listed(names.filter((name) => !name.startsWith("."))) || "an empty folder");
  return join(folder, only(known, folder));
}

function only(names: readonly string[], folder: string): string {
  if (names.length === 1) return names[0] as string;
  throw new InputError("SOURCE_AMBIGUOUS", {
    expected: "one file that describes the pictures",
    got: listed(names),
    where: folder,
    fix: "name one of these files instead of the folder",
  });
}

function unknown(where: string, got: string): InputError {
  return new InputError("SOURCE_UNKNOWN", {
    expected: `captions: one of ${CAPTION_FILES.join(", ")}, COCO's captions or instances, or LLaVA's JSON`,
    got,
    where,
    fix: "put a captions.csv beside the pictures, with the columns file_name and caption",
  });
}

/** Keys that COCO files begin with. */
const COCO_KEYS = new Set(["info", "licenses", "images", "annotations", "categories", "type"]);

/** The kind of a file by ending and first value; undefined when it is none that we know. */
async function kindOf(path: string): Promise<Kind | undefined> {
  if (/\.[ct]sv$/i.test(path)) return "folder";
  const key = path.endsWith(".jsonl") ? undefined : await firstKey(path);
  if (key !== undefined && COCO_KEYS.has(key)) return "coco";
  for await (const { value } of jsonItems(path)) {
    if (looksLikeRow(value)) return "folder";
    return isRecord(value) && "conversations" in value ? "llava" : undefined;
  }
  return undefined;
}

/** The first key of a file that begins as a JSON object. */
async function firstKey(path: string): Promise<string | undefined> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(1024), 0, 1024, 0);
    return /^\ufeff?\s*\{\s*"(\w+)"/.exec(buffer.toString("utf8", 0, bytesRead))?.[1];
  } finally {
    await file.close();
  }
}
