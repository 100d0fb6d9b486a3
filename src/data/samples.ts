// Reads and writes samples: LLaVA's JSON, as a list or one per line.
import { writeFileAtomic } from "../formats/node.ts";
import { jsonItems } from "./json-items.ts";
import { encodeParquet } from "./parquet-write.ts";
import { picturePath } from "./picture-path.ts";
import type { Sample, Turn } from "./sample.ts";
import { count, isRecord, refused, shown } from "./untrusted.ts";

/** Stands for one picture in a human turn. */
const PLACEHOLDER = "<image>";
/** What other formats call the two speakers. */
const OTHER_NAMES: Readonly<Record<string, Turn["from"]>> = {
  user: "human",
  User: "human",
  Human: "human",
  assistant: "gpt",
  Assistant: "gpt",
  model: "gpt",
  GPT: "gpt",
  bot: "gpt",
};

/** All samples of a file; throws at the first that is wrong. See `streamSamples`. */
export async function readSamples(path: string): Promise<Sample[]> {
  const samples: Sample[] = [];
  for await (const sample of streamSamples(path)) samples.push(sample);
  return samples;
}

/**
 * The samples of a file, one at a time: a JSON list or JSON lines, by content, of any size.
 *
 * @throws InputError what `jsonItems` and `parseSample` throw, with `path:line`
 */
export async function* streamSamples(path: string): AsyncGenerator<Sample> {
  let index = 0;
  for await (const { value, line } of jsonItems(path)) yield parseSample(value, `${path}:${line}`, index++);
}

/**
 * Checks one sample of LLaVA's JSON. A missing id becomes the index.
 *
 * @throws InputError `SAMPLE_SHAPE`, `SAMPLE_EMPTY`, `SAMPLE_ROLE`, `SAMPLE_ORDER`, `SAMPLE_VALUE`, `SAMPLE_IMAGES`, `PICTURE_PATH`
 */
export function parseSample(value: unknown, where: string, index: number): Sample {
  if (!isRecord(value))
    throw refused("SAMPLE_SHAPE", 'a sample, as {"id", "image", "conversations"}', shown(value), where);
  const { id, image, conversations, ...extra } = value;
  const images = parseImages(image, where);
  const turns = parseTurns(conversations, where);
  const places = turns.reduce(
    (sum, { from, value }) => sum + (from === "human" ? value.split(PLACEHOLDER).length - 1 : 0),
    0,
  );
  if (places !== images.length) {
    const fix = "write one <image> in the human turns for each picture, in the same order";
    throw refused(
      "SAMPLE_IMAGES",
      `${count(images.length, "<image>")} for ${count(images.length, "picture")}`,
      `${places}`,
      where,
      fix,
    );
  }
  return { id: parseId(id, where, index), images, conversations: turns, extra, where };
}

function parseId(id: unknown, where: string, index: number): string {
  if (id === undefined) return String(index);
  if (typeof id === "string" || typeof id === "number") return String(id);
  throw refused("SAMPLE_SHAPE", '"id": a string or a number', shown(id), where);
}

function parseImages(image: unknown, where: string): string[] {
  if (image === undefined || image === null) return [];
  if (typeof image === "string") return [picturePath(image, where)];
  if (!Array.isArray(image)) throw refused("SAMPLE_SHAPE", '"image": a path or a list of paths', shown(image), where);
  return image.map((path: unknown) => picturePath(path, where));
}

function parseTurns(conversations: unknown, where: string): Turn[] {
  if (!Array.isArray(conversations)) {
    throw refused("SAMPLE_SHAPE", '"conversations": a list of turns', shown(conversations), where);
  }
  if (conversations.length === 0) throw refused("SAMPLE_EMPTY", "at least one turn", "an empty conversation", where);
  return conversations.map((turn: unknown, i) => parseTurn(turn, i, `${where}, turn ${i + 1}`));
}

function parseTurn(turn: unknown, i: number, where: string): Turn {
  if (!isRecord(turn)) throw refused("SAMPLE_SHAPE", 'a turn, as {"from", "value"}', shown(turn), where);
  const { from, value } = turn;
  if (from !== "human" && from !== "gpt") {
    const meant = typeof from === "string" && Object.hasOwn(OTHER_NAMES, from) ? OTHER_NAMES[from] : undefined;
    const fix = meant === undefined ? "merge other speakers into the human's turns" : `write "${meant}"`;
    throw refused("SAMPLE_ROLE", '"from": "human" or "gpt"', shown(from), where, fix);
  }
  const expected = i % 2 === 0 ? "human" : "gpt";
  if (from !== expected) {
    const rule = i === 0 ? 'a first turn from "human"' : `a turn from "${expected}", since human and gpt alternate`;
    throw refused("SAMPLE_ORDER", rule, shown(from), where);
  }
  if (typeof value !== "string") throw refused("SAMPLE_VALUE", '"value": text', shown(value), where);
  return { from, value };
}

/**
 * Writes samples atomically: JSON lines for `.jsonl`, Parquet with the pictures inside for `.parquet`, else a list with
 * one sample per line.
 *
 * @param images the folder of the pictures; needed for Parquet alone
 * @throws InputError `PARQUET_IMAGES`, and what `encodeParquet` and `writeFileAtomic` throw
 */
export async function writeSamples(path: string, samples: Samples, images?: string): Promise<void> {
  await writeFileAtomic(path, isParquet(path) ? parquet(path, samples, images) : encode(path, samples));
}

/** Whether a file is Parquet by its name. */
export function isParquet(path: string): boolean {
  return /\.parquet$/i.test(path);
}

function parquet(path: string, samples: Samples, images: string | undefined): AsyncGenerator<Uint8Array> {
  if (images !== undefined) return encodeParquet(samples, images);
  const fix = "name it with --images";
  throw refused("PARQUET_IMAGES", "the folder of the pictures, which go into the file", "none", path, fix);
}

/** A sample as LLaVA's JSON has it. */
export function sampleToJson({ id, images, conversations, extra }: Sample): Record<string, unknown> {
  const image = images.length === 1 ? images[0] : images;
  return { id, ...(images.length > 0 && { image }), conversations, ...extra };
}

type Samples = Iterable<Sample> | AsyncIterable<Sample>;
/** Written at once; a write per sample would take longer than the samples. */
const CHUNK = 2 ** 20;

async function* encode(path: string, samples: Samples): AsyncGenerator<Uint8Array> {
  const [before, between, after] = path.endsWith(".jsonl") ? ["", "\n", "\n"] : ["[\n", ",\n", "\n]\n"];
  let text = before;
  let empty = true;
  for await (const sample of samples) {
    text += (empty ? "" : between) + JSON.stringify(sampleToJson(sample));
    empty = false;
    if (text.length < CHUNK) continue;
    yield Buffer.from(text);
    text = "";
  }
  yield Buffer.from(empty ? before.trim() + after.trimStart() : text + after);
}
