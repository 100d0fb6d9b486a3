// A source: Parquet as Hugging Face writes it, rows with a picture's bytes and its captions.
import { basename } from "node:path";
import { InputError } from "../../errors.ts";
import { pictureFormat } from "../../image/header.ts";
import { openParquet } from "../parquet.ts";
import { picturePath } from "../picture-path.ts";
import { isRecord, refused, shown } from "../untrusted.ts";
import { Gathered } from "./gathered.ts";
import { NameIndex } from "./name-index.ts";
import { CAPTION, parseSaid } from "./rows.ts";
import { picturesFolder, unpacker, type PackedPicture } from "./shards.ts";
import { sourceOf, type Source, type SourceOptions } from "./source.ts";

/** Columns that hold the picture; the first that a file has counts. */
const PICTURE = ["image", "picture", "img", "jpg", "png"];

/**
 * Opens Parquet files of rows with a picture (`{bytes, path}`, or bytes) and captions (text, or a list). A picture is
 * called as its path says, else by file and row; rows of one path are one picture. Files are read through once here,
 * and once more when pictures are unpacked.
 *
 * @throws InputError `PARQUET_COLUMNS`, `PARQUET_PICTURE`, `CAPTION_ROW`, `BOX`, `CAPTIONS_EMPTY`, and what
 *   `openParquet` throws
 */
export async function openParquetSource(
  path: string,
  files: readonly string[],
  options: SourceOptions,
): Promise<Source> {
  const gathered = new Gathered();
  const sizes = new NameIndex();
  for (const file of files) {
    for await (const { image, size, row, where } of readFile(file)) {
      if ((sizes.get(image) ?? size) !== size) {
        const fix = "give every picture a path of its own";
        throw refused("PARQUET_PICTURE", "one picture for each path", `${image} with other bytes`, where, fix);
      }
      sizes.set(image, size);
      gathered.add(image, parseSaid(row, where));
    }
  }
  if (gathered.size === 0) {
    throw new InputError("CAPTIONS_EMPTY", { expected: "at least one row", got: "none", where: path });
  }
  const root = picturesFolder(path, options);
  return sourceOf(
    "parquet",
    root,
    gathered,
    [],
    unpacker(root, () => packed(files)),
  );
}

async function* packed(files: readonly string[]): AsyncGenerator<PackedPicture> {
  const seen = new NameIndex();
  for (const file of files) {
    for await (const { image, size, bytes } of readFile(file)) {
      if (seen.get(image) !== undefined) continue;
      seen.set(image, 0);
      yield { image, size, bytes: () => Promise.resolve(bytes) };
    }
  }
}

interface PictureRow {
  readonly image: string;
  readonly bytes: Uint8Array;
  readonly size: number;
  /** the row without its picture */
  readonly row: Readonly<Record<string, unknown>>;
  readonly where: string;
}

async function* readFile(file: string): AsyncGenerator<PictureRow> {
  const { columns, rows } = await openParquet(file);
  const picture = PICTURE.find((name) => columns.includes(name));
  const caption = CAPTION.find((name) => columns.includes(name));
  if (picture === undefined || caption === undefined) {
    const expected = `a column of ${PICTURE.join(", ")} and one of ${CAPTION.join(", ")}`;
    throw refused("PARQUET_COLUMNS", expected, columns.join(", ") || "no columns", file);
  }
  const wanted = [picture, caption, ...columns.filter((name) => name === "objects")];
  const stem = basename(file).replace(/\.parquet$/i, "");
  for await (const { row, index } of rows(wanted)) {
    const where = `${file}, row ${index + 1}`;
    const { [picture]: value, objects, ...rest } = row;
    const { bytes, path } = pictureOf(value, where);
    const format = pictureFormat(bytes);
    if (format === undefined) throw refused("PARQUET_PICTURE", "JPEG, PNG, WebP or GIF", "other bytes", where);
    const ending = format === "jpeg" ? "jpg" : format;
    const image = path === undefined ? `${stem}/${index}.${ending}` : picturePath(path, where);
    // detection sets write boxes column-wise and in pixels, with numbers for names: not ours
    const ours = Array.isArray(objects) ? { ...rest, objects } : rest;
    yield { image, bytes, size: bytes.length, row: ours, where };
  }
}

function pictureOf(value: unknown, where: string): { bytes: Uint8Array; path?: string } {
  if (value instanceof Uint8Array) return { bytes: value };
  if (isRecord(value) && value["bytes"] instanceof Uint8Array) {
    const { bytes, path } = value as { bytes: Uint8Array; path?: unknown };
    return typeof path === "string" && path !== "" ? { bytes, path } : { bytes };
  }
  const got = isRecord(value) ? `no bytes, path ${shown(value["path"])}` : shown(value);
  const fix = "write the data set with its pictures embedded";
  throw refused("PARQUET_PICTURE", "a picture's bytes", got, where, fix);
}
