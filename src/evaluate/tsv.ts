// Reads the tab-separated files that MMBench and MMStar come as, row by row, and the base64 pictures in them.
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { CsvError, parse } from "csv-parse";
import { picturePath } from "../data/picture-path.ts";
import type { PackedPicture } from "../data/sources/shards.ts";
import { refused } from "../data/untrusted.ts";
import { openFile } from "../formats/node.ts";
import { pictureFormat } from "../image/header.ts";

export type TsvRow = Readonly<Record<string, string>> & { readonly where: string };

/** A row with its picture is in memory at once; a quote that is never closed would take the whole file. */
const LONGEST_ROW = 2 ** 26;
/** Shorter cells of the column `image` name the row that has the picture, as further orders of MMBench do. */
const SHORTEST_PICTURE = 64;

/** Rows by the names of the first line, their pictures left out. Throws `QUESTION_SHAPE`, and as `openFile`. */
export async function readTsv(path: string, needed: readonly string[]): Promise<TsvRow[]> {
  const rows: TsvRow[] = [];
  for await (const { image: _, ...row } of wholeRows(path)) {
    const missing = needed.find((name) => row[name] === undefined);
    if (missing !== undefined) throw refused("QUESTION_SHAPE", `a column ${missing}`, "none", row.where!);
    rows.push(row as TsvRow);
  }
  return rows;
}

/** The pictures of a file's column `image`, as INDEX.jpg whatever their format. Throws as `readTsv`. */
export async function* tsvPictures(path: string): AsyncGenerator<PackedPicture> {
  for await (const { index = "", image = "", where } of wholeRows(path)) {
    if (image.length < SHORTEST_PICTURE) continue;
    const bytes = Buffer.from(image, "base64");
    if (pictureFormat(bytes) === undefined)
      throw refused("QUESTION_SHAPE", "JPEG, PNG, WebP or GIF as base64 in the column image", "other bytes", where!);
    yield { image: picturePath(`${index}.jpg`, where!), size: bytes.length, bytes: () => Promise.resolve(bytes) };
  }
}

async function* wholeRows(path: string): AsyncGenerator<Record<string, string>> {
  await (await openFile(path)).close();
  const options = { columns: true, delimiter: "\t", bom: true, info: true, skip_empty_lines: true } as const;
  const parser = parse({ ...options, max_record_size: LONGEST_ROW });
  // what breaks while bytes flow reaches the loop below through the parser
  const flow = pipeline(createReadStream(path), parser).catch((error: unknown) => error);
  try {
    for await (const each of parser) {
      const { record, info } = each as { record: Record<string, string>; info: { lines: number } };
      yield { ...record, where: `${path}:${info.lines}` };
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw refused("QUESTION_SHAPE", "tab-separated columns", error.message, `${path}:${String(error["lines"])}`);
  } finally {
    parser.destroy();
    await flow;
  }
}

/** A cell's text; undefined for an empty one, and for what pandas writes for a missing one. */
export function cellOf(row: TsvRow, name: string): string | undefined {
  const text = row[name]?.trim();
  return text === undefined || text === "" || /^(nan|none)$/i.test(text) ? undefined : text;
}
