// Writes samples as Parquet in Hugging Face's layout: `messages` of parts, and `images` with their bytes.
import { readFile } from "node:fs/promises";
import { ByteWriter, ParquetWriter, type SchemaElement } from "hyparquet-writer";
import { InputError } from "../errors.ts";
import { pictureFile } from "./picture-path.ts";
import type { Sample, Turn } from "./sample.ts";

/** A row group ends with so many rows, or so many bytes of pictures: readers hold one in memory. */
const MOST_ROWS = 1000;
const MOST_BYTES = 32 * 2 ** 20;
/** Stands for one picture in a human turn. */
const PLACEHOLDER = "<image>";
/** A key of `metadata`: human turns, by their place, whose line breaks around pictures parts can't say. */
export const ORIGINAL_TURNS = "llava_turns";

const text = (name: string): SchemaElement => ({
  name,
  type: "BYTE_ARRAY",
  converted_type: "UTF8",
  repetition_type: "OPTIONAL",
});
const group = (name: string, children: number): SchemaElement => ({
  name,
  repetition_type: "OPTIONAL",
  num_children: children,
});
/** A list column's head; its element follows. */
const list = (name: string): SchemaElement[] => [
  { ...group(name, 1), converted_type: "LIST" },
  { name: "list", repetition_type: "REPEATED", num_children: 1 },
];

const schema: SchemaElement[] = [
  { name: "schema", num_children: 4 },
  text("id"),
  ...list("images"),
  group("element", 2),
  { name: "bytes", type: "BYTE_ARRAY", repetition_type: "OPTIONAL" },
  text("path"),
  ...list("messages"),
  group("element", 2),
  text("role"),
  ...list("content"),
  group("element", 2),
  text("type"),
  text("text"),
  text("metadata"),
];

const value = (dtype: string): object => ({ dtype, _type: "Value" });
const sequence = (feature: object): object => ({ feature, _type: "List" });
/** What makes `datasets` show pictures rather than bytes. */
const features = {
  id: value("string"),
  images: sequence({ _type: "Image" }),
  messages: sequence({
    role: value("string"),
    content: sequence({ type: value("string"), text: value("string") }),
  }),
  metadata: value("string"),
};

/** One piece of a message, as chat templates read it. */
interface Part {
  readonly type: "image" | "text";
  readonly text: string | null;
}

/**
 * The bytes of a Parquet file, made a row group at a time. `metadata` holds a sample's other keys as JSON.
 *
 * @param imagesRoot the folder of the pictures
 * @throws InputError `PICTURE_MISSING`
 */
export async function* encodeParquet(
  samples: Iterable<Sample> | AsyncIterable<Sample>,
  imagesRoot: string,
): AsyncGenerator<Uint8Array> {
  const writer = new ByteWriter();
  const kvMetadata = [{ key: "huggingface", value: JSON.stringify({ info: { features } }) }];
  const parquet = new ParquetWriter({ writer, schema, kvMetadata, statistics: false });
  const taken = (): Uint8Array => {
    const bytes = writer.getBytes().slice();
    writer.index = 0;
    return bytes;
  };
  let rows: Row[] = [];
  let bytes = 0;
  const close = async (): Promise<Uint8Array> => {
    const names = ["id", "images", "messages", "metadata"] as const;
    const columnData = names.map((name) => ({ name, data: rows.map((row) => row[name]) }));
    await parquet.write({ columnData, rowGroupSize: rows.length });
    [rows, bytes] = [[], 0];
    return taken();
  };
  for await (const sample of samples) {
    const row = await rowOf(sample, imagesRoot);
    rows.push(row);
    bytes += row.images.reduce((sum, image) => sum + image.bytes.length, 0);
    if (rows.length >= MOST_ROWS || bytes >= MOST_BYTES) yield await close();
  }
  if (rows.length > 0) yield await close();
  await parquet.finish();
  yield taken();
}

interface Row {
  readonly id: string;
  readonly images: readonly { readonly bytes: Uint8Array; readonly path: string }[];
  readonly messages: readonly { readonly role: string; readonly content: readonly Part[] }[];
  readonly metadata: string;
}

async function rowOf({ id, images, conversations, extra, where }: Sample, imagesRoot: string): Promise<Row> {
  const pictures = await Promise.all(
    images.map(async (path) => {
      const bytes = await readFile(pictureFile(imagesRoot, path)).catch((cause: unknown) => {
        const fix = "name the folder of the pictures with --images";
        const expected = `the picture ${path} in ${imagesRoot}`;
        throw new InputError("PICTURE_MISSING", { expected, got: "none", where, fix, cause });
      });
      return { bytes, path };
    }),
  );
  const messages = conversations.map(({ from, value }) => ({
    role: from === "human" ? "user" : "assistant",
    content: from === "human" ? partsOf(value) : [{ type: "text" as const, text: value }],
  }));
  const original = originalTurns(conversations);
  const metadata = { ...extra, ...(Object.keys(original).length > 0 && { [ORIGINAL_TURNS]: original }) };
  return { id, images: pictures, messages, metadata: JSON.stringify(metadata) };
}

/** The turns that parts would give back otherwise: "<image>What?" becomes "<image>\nWhat?". */
function originalTurns(turns: readonly Turn[]): Record<string, string> {
  const changed = turns.map(({ from, value }, i): [string, string][] =>
    from === "human" && turnOf(from, partsOf(value)).value !== value ? [[String(i), value]] : [],
  );
  return Object.fromEntries(changed.flat());
}

/** "<image>\nWhat?" → a picture and "What?": templates put their own mark and break between the two. */
function partsOf(value: string): Part[] {
  const parts: Part[] = [];
  for (const [i, piece] of value.split(PLACEHOLDER).entries()) {
    if (i > 0) parts.push({ type: "image", text: null });
    const said = i > 0 ? piece.replace(/^\n/, "") : piece;
    if (said !== "") parts.push({ type: "text", text: said });
  }
  return parts;
}

/** The turn that parts make; the other way round. */
export function turnOf(
  role: "human" | "gpt",
  parts: readonly { readonly type: string; readonly text?: unknown }[],
): Turn {
  let value = "";
  let afterPicture = false;
  for (const { type, text } of parts) {
    const isText = type === "text";
    if (afterPicture && isText) value += "\n";
    value += isText ? String(text ?? "") : PLACEHOLDER;
    afterPicture = !isText;
  }
  return { from: role, value };
}
