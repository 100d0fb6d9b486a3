// Reads a captions file: rows of picture, captions and objects as CSV, JSON lines or a JSON list.
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { parse, CsvError } from "csv-parse";
import { InputError } from "../../errors.ts";
import { parseJson } from "../../formats/json.ts";
import { openFile } from "../../formats/node.ts";
import { jsonItems } from "../json-items.ts";
import { picturePath } from "../picture-path.ts";
import type { BoxedObject } from "../sample.ts";
import { isRecord, refused, shown } from "../untrusted.ts";

/** Columns by what they hold; the first that a row has counts. */
const PICTURE = ["file_name", "image", "filename"];
export const CAPTION = ["caption", "text", "captions", "sentences"];
/** In characters; longer rows hold no captions but a mistake. */
const LONGEST_ROW = 2 ** 20;

export interface CaptionRow {
  readonly image: string;
  readonly captions: readonly string[];
  readonly objects?: readonly BoxedObject[];
}

/** Whether a JSON value looks like a row of a captions file. */
export function looksLikeRow(value: unknown): boolean {
  return isRecord(value) && firstOf(value, PICTURE) !== undefined && hasCaption(value);
}

/** Whether a row has a column of captions. */
export function hasCaption(row: Readonly<Record<string, unknown>>): boolean {
  return firstOf(row, CAPTION) !== undefined;
}

/**
 * The rows of a captions file; `.csv` and `.tsv` are tables (comma, semicolon or tab), everything else is JSON.
 *
 * @throws InputError `CSV_INVALID`, `CAPTION_ROW`, `BOX`, `PICTURE_PATH` with `path:line`, and what `jsonItems` throws
 */
export async function* captionRows(path: string): AsyncGenerator<CaptionRow> {
  const rows = /\.[ct]sv$/i.test(path) ? tableRows(path) : jsonItems(path);
  for await (const { value, line } of rows) yield parseRow(value, `${path}:${line}`);
}

async function* tableRows(path: string): AsyncGenerator<{ value: unknown; line: number }> {
  const options = {
    bom: true,
    columns: true,
    delimiter: await delimiterOf(path),
    skip_empty_lines: true,
    info: true,
    // a quote that is never closed would swallow the file
    max_record_size: LONGEST_ROW,
  } as const;
  const parser = parse(options);
  // what breaks while bytes flow reaches the loop below through the parser
  const flow = pipeline(createReadStream(path), checkedText(path), parser).catch((error: unknown) => error);
  try {
    for await (const row of parser) {
      const { record, info } = row as { record: Record<string, string>; info: { lines: number } };
      // told is the line that a record ends on
      const breaks = Object.values(record).reduce((sum, field) => sum + field.split("\n").length - 1, 0);
      yield { value: record, line: info.lines - breaks };
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new InputError("CSV_INVALID", {
      expected: "a table with as many fields in each row as in the first, and quotes doubled inside quotes",
      got: error.message,
      where: `${path}:${String(error["lines"])}`,
      cause: error,
    });
  } finally {
    parser.destroy();
    await flow;
  }
}

/** The mark that the first line holds most of: comma, semicolon or tab. */
async function delimiterOf(path: string): Promise<string> {
  const file = await openFile(path);
  try {
    const start = Buffer.from(await file.read(0, Math.min(file.size, 2 ** 16))).toString("utf8");
    const header = /^[^\r\n]*/.exec(start)?.[0] ?? "";
    return [";", "\t"].find((mark) => header.split(mark).length > header.split(",").length) ?? ",";
  } finally {
    await file.close();
  }
}

/** Passes UTF-8 on; refuses other bytes with `TEXT_INVALID` and the line. */
function checkedText(path: string): (chunks: AsyncIterable<Buffer>) => AsyncGenerator<string> {
  return async function* (chunks) {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    let line = 1;
    const decode = (chunk?: Buffer): string => {
      try {
        return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
      } catch (cause) {
        const before = chunk === undefined ? "" : new TextDecoder().decode(chunk).split("\uFFFD")[0];
        const where = `${path}:${line + (before ?? "").split("\n").length - 1}`;
        const fix = "save it as UTF-8";
        throw new InputError("TEXT_INVALID", { expected: "UTF-8 text", got: "other bytes", where, fix, cause });
      }
    };
    for await (const chunk of chunks) {
      const text = decode(chunk);
      for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) line++;
      yield text;
    }
    decode();
  };
}

function parseRow(row: unknown, where: string): CaptionRow {
  if (!isRecord(row)) throw refused("CAPTION_ROW", "a row with a picture and its captions", shown(row), where);
  const image = firstOf(row, PICTURE);
  if (image === undefined) throw lacking(row, PICTURE, where);
  return { image: picturePath(image, where), ...parseSaid(row, where) };
}

/** What a row says besides its picture. Throws `CAPTION_ROW`, `BOX`. */
export function parseSaid(row: Readonly<Record<string, unknown>>, where: string): Omit<CaptionRow, "image"> {
  const captions = firstOf(row, CAPTION);
  if (captions === undefined) throw lacking(row, CAPTION, where);
  const list = Array.isArray(captions) ? captions : [captions];
  if (!list.every((caption) => typeof caption === "string")) {
    throw refused("CAPTION_ROW", "a caption, or a list of captions, as text", shown(captions), where);
  }
  const objects = parseObjects(row["objects"], where);
  return { captions: list, ...(objects !== undefined && { objects }) };
}

function lacking(row: Readonly<Record<string, unknown>>, wanted: readonly string[], where: string): InputError {
  const got = Object.keys(row).join(", ") || "no columns";
  return refused("CAPTION_ROW", `a column named one of ${wanted.join(", ")}`, got, where);
}

/** Objects as JSON gives them, or as JSON text in a table's cell; an empty cell says nothing. */
export function parseObjects(value: unknown, where: string): BoxedObject[] | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  const objects = typeof value === "string" ? parseJson(value, `${where}, objects`) : value;
  if (!Array.isArray(objects)) throw refused("BOX", 'objects: a list of {"name", "box"}', shown(objects), where);
  return objects.map((object: unknown) => {
    if (!isRecord(object) || typeof object["name"] !== "string" || object["name"].trim() === "") {
      throw refused("BOX", 'an object, as {"name", "box"}', shown(object), where);
    }
    return { name: object["name"].trim(), box: parseBox(object["box"], where) };
  });
}

function parseBox(box: unknown, where: string): BoxedObject["box"] {
  const right = Array.isArray(box) && box.length === 4 && box.every((n) => typeof n === "number" && n >= 0 && n <= 1);
  const [x1, y1, x2, y2] = (right ? box : [0, 0, 0, 0]) as [number, number, number, number];
  if (x1 < x2 && y1 < y2) return [x1, y1, x2, y2];
  const fix = "divide pixels by the picture's width and height";
  const expected = "a box [x1, y1, x2, y2] in fractions of the picture, x1 < x2 and y1 < y2";
  throw refused("BOX", expected, shown(box), where, fix);
}

function firstOf(row: Readonly<Record<string, unknown>>, columns: readonly string[]): unknown {
  const column = columns.find((name) => Object.hasOwn(row, name));
  return column === undefined ? undefined : row[column];
}
