// Reads the tab-separated files that MMBench and MMStar come as; their base64 pictures are passed over.
import { parse, CsvError } from "csv-parse/sync";
import { readTextFile } from "../formats/node.ts";
import { refused } from "../data/untrusted.ts";

export type TsvRow = Readonly<Record<string, string>> & { readonly where: string };

/** with a picture in every row these files reach a gigabyte */
const MOST_BYTES = 2 ** 29;

/** Rows by the names of the first line. Throws `QUESTION_SHAPE`, and as `readTextFile`. */
export async function readTsv(path: string, needed: readonly string[]): Promise<TsvRow[]> {
  const text = await readTextFile(path, { maxBytes: MOST_BYTES });
  try {
    const options = { columns: true, delimiter: "\t", bom: true, info: true, skip_empty_lines: true } as const;
    const rows = parse(text, options) as unknown as { record: Record<string, string>; info: { lines: number } }[];
    return rows.map(({ record, info }): TsvRow => {
      const { image: _, ...fields } = record;
      const where = `${path}:${info.lines}`;
      const missing = needed.find((name) => fields[name] === undefined);
      if (missing !== undefined) throw refused("QUESTION_SHAPE", `a column ${missing}`, "none", where);
      return { ...fields, where };
    });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw refused("QUESTION_SHAPE", "tab-separated columns", error.message, `${path}:${String(error["lines"])}`);
  }
}

/** A cell's text; undefined for an empty one, and for what pandas writes for a missing one. */
export function cellOf(row: TsvRow, name: string): string | undefined {
  const text = row[name]?.trim();
  return text === undefined || text === "" || /^(nan|none)$/i.test(text) ? undefined : text;
}
