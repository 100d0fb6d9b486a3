// Opens a source: tells by name and content which kind a path is.
import { open, readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { InputError } from "../../errors.ts";
import { jsonItems } from "../json-items.ts";
import { isRecord, listed, refused } from "../untrusted.ts";
import { openCoco } from "./coco.ts";
import { isFlickr30k, openFlickr30k } from "./flickr30k.ts";
import { CAPTION_FILES, openFolder } from "./folder.ts";
import { openLlavaJson } from "./llava-json.ts";
import { openParquetSource } from "./parquet.ts";
import { looksLikeRow } from "./rows.ts";
import { hasSidecars, openSidecars } from "./sidecar.ts";
import type { Source, SourceKind, SourceOptions } from "./source.ts";
import { openVisualGenome, visualGenomeFile } from "./visual-genome.ts";
import { openWebDataset, SHARD } from "./webdataset.ts";

/**
 * Opens captioned pictures: a folder that holds a captions file, COCO's, Visual Genome's or Flickr30k's annotations,
 * LLaVA's JSON, tar or Parquet shards, or a text beside each picture; or such a file itself. Everything is read and
 * checked, pictures are looked for but not opened.
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
  const { kind, files } = status.isDirectory() ? await findInFolder(path) : { kind: await kindOf(path), files: [path] };
  const file = files[0] as string;
  switch (kind) {
    case undefined:
      throw unknown(file, "a file of another shape");
    case "webdataset":
      return openWebDataset(path, files, options);
    case "parquet":
      return openParquetSource(path, files, options);
    default:
      return openers[kind](file, options);
  }
}

type Single = Exclude<SourceKind, "webdataset" | "parquet">;
const openers: Readonly<Record<Single, (path: string, options: SourceOptions) => Promise<Source>>> = {
  folder: openFolder,
  coco: openCoco,
  llava: openLlavaJson,
  sidecar: openSidecars,
  "visual-genome": openVisualGenome,
  flickr30k: openFlickr30k,
};

interface Found {
  readonly kind: SourceKind | undefined;
  readonly files: readonly string[];
}

/** What of a folder describes its pictures. */
async function findInFolder(folder: string): Promise<Found> {
  const names = await readdir(folder);
  if (isFlickr30k(names)) return { kind: "flickr30k", files: [folder] };
  const genome = visualGenomeFile(names);
  if (genome !== undefined) return { kind: "visual-genome", files: [join(folder, genome)] };
  const tars = names.filter((name) => SHARD.test(name)).sort();
  if (tars.length > 0) return { kind: "webdataset", files: tars.map((name) => join(folder, name)) };
  const below = names.includes("data") ? await readdir(join(folder, "data")).catch(() => []) : [];
  const tables = [...names, ...below.map((name) => join("data", name))].filter((name) => PARQUET.test(name)).sort();
  if (tables.length > 0) return { kind: "parquet", files: oneSplit(tables, folder) };
  const file = await findFile(folder, names);
  if (file !== undefined) return { kind: await kindOf(file), files: [file] };
  if (hasSidecars(names)) return { kind: "sidecar", files: [folder] };
  throw unknown(folder, listed(names.filter((name) => !name.startsWith("."))) || "an empty folder");
}

const PARQUET = /\.parquet$/i;

/** Hugging Face writes the splits of a data set side by side: train-00000-of-00002.parquet. */
function oneSplit(names: readonly string[], folder: string): string[] {
  const splits = new Set(names.map((name) => name.replace(/-\d+-of-\d+(?=\.parquet$)/i, "")));
  const sharded = names.some((name) => /-\d+-of-\d+\.parquet$/i.test(name));
  if (sharded && splits.size > 1) {
    const fix = "put the files of one split into a folder of their own, or name one file";
    throw refused("SOURCE_AMBIGUOUS", "files of one split", listed([...splits]), folder, fix);
  }
  return names.map((name) => join(folder, name));
}

/** The file of a folder that describes its pictures. */
async function findFile(folder: string, names: readonly string[]): Promise<string | undefined> {
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
  return known.length === 0 ? undefined : join(folder, only(known, folder));
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
    expected: `captions: one of ${CAPTION_FILES.join(", ")}, a .txt beside each picture, .tar or .parquet shards, annotations of COCO, Visual Genome or Flickr30k, or LLaVA's JSON`,
    got,
    where,
    fix: "put a captions.csv beside the pictures, with the columns file_name and caption",
  });
}

/** Keys that COCO files begin with. */
const COCO_KEYS = new Set(["info", "licenses", "images", "annotations", "categories", "type"]);

/** The kind of a file by ending and first value; undefined when it is none that we know. */
async function kindOf(path: string): Promise<SourceKind | undefined> {
  if (SHARD.test(path)) return "webdataset";
  if (PARQUET.test(path)) return "parquet";
  if (/\.[ct]sv$/i.test(path)) return "folder";
  if (visualGenomeFile([basename(path), "image_data.json"]) !== undefined) return "visual-genome";
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
