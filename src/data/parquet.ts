// Reads the rows of a Parquet file, a row group at a time, whatever its size.
import {
  parquetMetadataAsync,
  parquetReadObjects,
  type AsyncBuffer,
  type Compressors,
  type FileMetaData,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { InputError, LlavaError } from "../errors.ts";
import { openFile } from "../formats/node.ts";
import { refused } from "./untrusted.ts";

/** A row group is held in memory, compressed and not: larger ones are refused. */
const LARGEST_GROUP = 2 ** 30;
/** What a page may say that it holds, before memory is taken for it. */
const LARGEST_PAGE = 2 ** 29;

export interface ParquetRow {
  readonly row: Readonly<Record<string, unknown>>;
  /** from 0 */
  readonly index: number;
}

/** A Parquet file: its columns by name, and its rows. */
export interface ParquetFile {
  readonly columns: readonly string[];
  readonly count: number;
  /** all rows in order, with these columns alone where they are named */
  rows(columns?: readonly string[]): AsyncGenerator<ParquetRow>;
}

/**
 * Reads what the end of a file says of it. Bytes stay bytes; only what is marked as text becomes text.
 *
 * @throws InputError `PARQUET_INVALID`, `PARQUET_TOO_LARGE`, and what `openFile` throws, also while rows are read
 */
export async function openParquet(path: string): Promise<ParquetFile> {
  const metadata = await withFile(path, (file) => parquetMetadataAsync(file));
  const columns = metadata.schema.length === 0 ? [] : topLevel(metadata);
  return {
    columns,
    count: Number(metadata.num_rows),
    rows: (wanted) => rowsOf(path, metadata, wanted),
  };
}

async function* rowsOf(
  path: string,
  metadata: FileMetaData,
  columns: readonly string[] | undefined,
): AsyncGenerator<ParquetRow> {
  let start = 0;
  for (const group of metadata.row_groups) {
    const end = start + Number(group.num_rows);
    const bytes = Number(group.total_byte_size);
    if (!(end >= start) || bytes > LARGEST_GROUP) {
      const fix = "write it with smaller row groups";
      throw refused("PARQUET_TOO_LARGE", `row groups of at most ${LARGEST_GROUP} bytes`, String(bytes), path, fix);
    }
    const range = { metadata, rowStart: start, rowEnd: end, compressors: bounded, utf8: false };
    const rows = await withFile(path, (file) =>
      parquetReadObjects({ file, ...range, ...(columns === undefined ? {} : { columns: [...columns] }) }),
    );
    for (const [i, row] of rows.entries()) yield { row, index: start + i };
    start = end;
  }
}

/** Names of the columns: the schema is a tree written depth first, its root first. */
function topLevel({ schema }: FileMetaData): string[] {
  const names: string[] = [];
  const skip = (at: number): number => {
    let next = at + 1;
    for (let left = schema[at]?.num_children ?? 0; left > 0 && next < schema.length; left--) next = skip(next);
    return next;
  };
  for (let at = 1; at < schema.length; at = skip(at)) names.push(schema[at]?.name ?? "");
  return names;
}

/** The decoders, each refusing a page that claims too much. */
const bounded: Compressors = Object.fromEntries(
  Object.entries(compressors).map(([codec, decode]) => [
    codec,
    (input: Uint8Array, length: number): Uint8Array => {
      if (length > LARGEST_PAGE)
        throw refused("PARQUET_TOO_LARGE", `pages of at most ${LARGEST_PAGE} bytes`, String(length), "Parquet");
      return decode(input, length);
    },
  ]),
);

/** Opens the file for one call: a generator that is left behind keeps nothing open. */
async function withFile<T>(path: string, read: (file: AsyncBuffer) => Promise<T>): Promise<T> {
  const file = await openFile(path);
  try {
    return await read({
      byteLength: file.size,
      slice: async (start, end = file.size) => (await file.read(start, end - start)).buffer,
    });
  } catch (cause) {
    if (cause instanceof LlavaError) throw cause;
    const got = cause instanceof Error ? (cause.message.split("\n")[0] as string) : String(cause);
    const fix = "fetch or write it again";
    throw new InputError("PARQUET_INVALID", { expected: "a Parquet file", got, where: path, fix, cause });
  } finally {
    await file.close();
  }
}
