// Reads samples from Parquet: messages and images as Hugging Face has them, or LLaVA's conversations with an image.
import { basename } from "node:path";
import { InputError } from "../errors.ts";
import { parseJson } from "../formats/json.ts";
import { pictureFormat } from "../image/header.ts";
import { openParquet } from "./parquet.ts";
import { ORIGINAL_TURNS, turnOf } from "./parquet-write.ts";
import { picturePath } from "./picture-path.ts";
import type { Sample } from "./sample.ts";
import { parseSample } from "./samples.ts";
import { isRecord, refused, shown } from "./untrusted.ts";

/** A sample with the bytes of its pictures, in the order of `images`. */
export interface PackedSample {
  readonly sample: Sample;
  readonly pictures: readonly Uint8Array[];
}

/** The column with the talk, by which the layouts differ. */
const talks = ["conversations", "messages"] as const;

/** Whether a Parquet file holds conversations rather than captions. */
export async function holdsConversations(path: string): Promise<boolean> {
  const { columns } = await openParquet(path);
  return talks.some((name) => columns.includes(name));
}

/**
 * The samples of a file, one at a time. Pictures without a path are called by file and row.
 *
 * @throws InputError `PARQUET_COLUMNS`, `PARQUET_PICTURE`, and what `parseSample` and `openParquet` throw
 */
export async function* streamParquetSamples(path: string): AsyncGenerator<PackedSample> {
  const { columns, rows } = await openParquet(path);
  const talk = talks.find((name) => columns.includes(name));
  if (talk === undefined)
    throw refused("PARQUET_COLUMNS", `a column ${talks.join(" or ")}`, columns.join(", ") || "no columns", path);
  const stem = basename(path).replace(/\.parquet$/i, "");
  for await (const { row, index } of rows()) {
    const where = `${path}, row ${index + 1}`;
    const { id, image, images, conversations, messages, metadata, ...others } = row;
    const packed = picturesOf(images ?? image, `${stem}/${index}`, where);
    const turns = talk === "conversations" ? conversations : turnsOf(messages, where);
    const told = typeof metadata === "string" ? parseJson(metadata, `${where}, metadata`) : { ...plain(others) };
    const { [ORIGINAL_TURNS]: original, ...extra } = isRecord(told) ? told : {};
    const value = {
      ...extra,
      ...(id === null || id === undefined ? {} : { id: typeof id === "bigint" ? String(id) : id }),
      ...(packed.length === 0 ? {} : { image: packed.map((each) => each.path) }),
      conversations: isRecord(original) ? restored(turns, original) : turns,
    };
    const sample = parseSample(value, where, index);
    yield { sample, pictures: packed.map(({ bytes }) => bytes) };
  }
}

/** Turns in the words that they were written in, where these say the same with other line breaks. */
function restored(turns: unknown, original: Readonly<Record<string, unknown>>): unknown {
  const same = (a: string, b: unknown): b is string =>
    typeof b === "string" && a.replaceAll(/\s+/g, "") === b.replaceAll(/\s+/g, "");
  if (!Array.isArray(turns)) return turns;
  return turns.map((turn: unknown, i) => {
    const given = original[String(i)];
    return isRecord(turn) && same(String(turn["value"]), given) ? { ...turn, value: given } : turn;
  });
}

function picturesOf(value: unknown, name: string, where: string): { bytes: Uint8Array; path: string }[] {
  if (value === null || value === undefined) return [];
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.map((each, i) => {
    const { bytes, path } = isRecord(each) ? each : { bytes: each, path: undefined };
    const format = bytes instanceof Uint8Array ? pictureFormat(bytes) : undefined;
    if (!(bytes instanceof Uint8Array) || format === undefined) {
      const got = bytes instanceof Uint8Array ? "other bytes" : shown(bytes);
      throw refused("PARQUET_PICTURE", "the bytes of a JPEG, PNG, WebP or GIF", got, where);
    }
    const number = list.length === 1 ? "" : `-${i + 1}`;
    const given =
      typeof path === "string" && path !== "" ? path : `${name}${number}.${format === "jpeg" ? "jpg" : format}`;
    return { bytes, path: picturePath(given, where) };
  });
}

/** Messages as parts, or as text; what a system says is for another place. */
function turnsOf(messages: unknown, where: string): unknown[] {
  if (!Array.isArray(messages)) throw refused("SAMPLE_SHAPE", '"messages": a list', shown(messages), where);
  return messages.map((message: unknown, i) => {
    const { role, content } = isRecord(message) ? message : { role: undefined, content: undefined };
    const from = role === "user" ? "human" : role === "assistant" ? "gpt" : undefined;
    if (from === undefined) {
      const details = { expected: '"role": user or assistant', got: shown(role), where: `${where}, turn ${i + 1}` };
      throw new InputError("SAMPLE_ROLE", { ...details, fix: "put a system's words into the recipe's template" });
    }
    if (typeof content === "string") return { from, value: content };
    const parts = Array.isArray(content) && content.every((part) => isRecord(part) && typeof part["type"] === "string");
    if (!parts) throw refused("SAMPLE_VALUE", '"content": text, or parts', shown(content), `${where}, turn ${i + 1}`);
    return turnOf(from, content as { type: string; text?: unknown }[]);
  });
}

/** What JSON can hold; numbers beyond 53 bits become text. */
function plain(row: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const told = JSON.stringify(row, (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value));
  return JSON.parse(told) as Record<string, unknown>;
}
