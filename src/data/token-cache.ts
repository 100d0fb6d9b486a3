// A file's samples as tokens, kept on disk: what took minutes is read back in a second.
// Legend: n samples, p pictures named by them in all, t tokens in all; every section is little-endian.
import { createHash } from "node:crypto";
import { endianness } from "node:os";
import { join } from "node:path";
import { InputError, LlavaError } from "../errors.ts";
import { openFile, makeFolder, writeFileAtomic } from "../formats/node.ts";
import { IGNORE_LABEL, type ImageRun } from "../text/expand.ts";
import type { EncodedSample } from "./encode.ts";

/** Raise it with anything that changes what a file's samples become. */
const VERSION = "tokens-1";
const MAGIC = Buffer.from("LLVTOK01", "latin1");
/** magic, SHA-256 of all behind it, bytes of the header */
const HEAD = MAGIC.length + 32 + 8;
const MOST_HEADER = 2 ** 28;
const CHUNK = 2 ** 24;

/** Samples that passed every check, and what it takes to check their pictures again. */
export interface KeptSamples {
  readonly encoded: readonly EncodedSample[];
  /** the different pictures and the line of the file that names each first */
  readonly pictures: readonly (readonly [image: string, line: number])[];
}

interface Header {
  readonly ids: readonly string[]; // [n]
  readonly pictures: KeptSamples["pictures"];
  /** pictures of all samples */
  readonly places: number;
  readonly tokens: number;
}

/** Where samples are kept that are `bytes` (a digest of the file) read in a way that `rules` tell. */
export function tokenFile(folder: string, bytes: string, rules: unknown): string {
  const key = createHash("sha256").update(JSON.stringify([VERSION, bytes, rules]));
  return join(folder, "tokens", `${key.digest("hex").slice(0, 32)}.bin`);
}

/** SHA-256 of a file's bytes. Throws what `openFile` throws. */
export async function digestFile(path: string): Promise<string> {
  const file = await openFile(path);
  try {
    const hash = createHash("sha256");
    for (let at = 0; at < file.size; at += CHUNK) hash.update(await file.read(at, Math.min(CHUNK, file.size - at)));
    return hash.digest("hex");
  } finally {
    await file.close();
  }
}

/** Writes samples; a folder that can't be written costs the next start its time, and is no reason to stop. */
export async function keepTokens(path: string, { encoded, pictures }: KeptSamples): Promise<void> {
  const number = new Map(pictures.map(([image], i) => [image, i]));
  const tokens = encoded.reduce((sum, { ids }) => sum + ids.length, 0);
  const places = encoded.reduce((sum, { images }) => sum + images.length, 0);
  const header: Header = { ids: encoded.map(({ id }) => id), pictures, places, tokens };
  const text = Buffer.from(JSON.stringify(header));
  // the numbers behind it are read in place: they start at a multiple of 4
  const json = Buffer.concat([text, Buffer.alloc(-text.length & 3, 32)]);
  if (json.length > MOST_HEADER) return;
  const body = sectionsOf(encoded.length, places, tokens, new ArrayBuffer(bodyBytes(encoded.length, places, tokens)));
  let [place, token] = [0, 0];
  for (const [i, { ids, labels, images, imageRuns }] of encoded.entries()) {
    body.lengths[i] = ids.length;
    body.counts[i] = images.length;
    for (const [k, { start, length }] of imageRuns.entries()) {
      body.runs.set([number.get(images[k]!)!, start, length], 3 * place++);
    }
    body.ids.set(ids, token);
    for (let t = 0; t < labels.length; t++) body.learned[token + t] = labels[t] === IGNORE_LABEL ? 0 : 1;
    token += ids.length;
  }
  const bytes = new Uint8Array(body.ids.buffer);
  const size = Buffer.alloc(8);
  size.writeUInt32LE(json.length);
  try {
    await makeFolder(join(path, ".."));
    await writeFileAtomic(path, chunks([MAGIC, digest(size, json, bytes), size, json, bytes]));
  } catch (error) {
    if (!(error instanceof LlavaError)) throw error;
  }
}

// oxlint-disable-next-line require-await -- writeFileAtomic streams these without joining them
async function* chunks(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

const digest = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash("sha256");
  // a hash takes less than 2 GiB at once
  for (const part of parts) {
    for (let at = 0; at < part.length; at += CHUNK) hash.update(part.subarray(at, at + CHUNK));
  }
  return hash.digest();
};

/** Reads samples back; undefined where there are none, or anything is wrong with them. */
export async function recallTokens(path: string): Promise<KeptSamples | undefined> {
  if (endianness() !== "LE") return undefined;
  try {
    const file = await openFile(path);
    try {
      return decode(await file.read(0, file.size));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof LlavaError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function decode(bytes: Uint8Array<ArrayBuffer>): KeptSamples {
  const all = Buffer.from(bytes.buffer);
  check(all.length >= HEAD && all.subarray(0, MAGIC.length).equals(MAGIC), "a file of tokens");
  const hashed = MAGIC.length + 32;
  check(all.subarray(MAGIC.length, hashed).equals(digest(all.subarray(hashed))), "bytes of the digest told");
  const start = HEAD + all.readUInt32LE(hashed);
  check(start % 4 === 0 && start <= all.length && start - HEAD <= MOST_HEADER, "a header within the file");
  const { ids: names, pictures, places, tokens } = JSON.parse(all.toString("utf8", HEAD, start)) as Header;
  check(Array.isArray(names) && Array.isArray(pictures), "lists of samples and pictures");
  check(isCount(places) && isCount(tokens), "counts");
  check(start + bodyBytes(names.length, places, tokens) === all.length, "sections that fill the file");
  return {
    pictures,
    encoded: samplesOf(names, pictures, sectionsOf(names.length, places, tokens, bytes.buffer, start)),
  };
}

/** Samples whose ids are views of what was read; labels follow from them. */
function samplesOf(names: readonly string[], pictures: KeptSamples["pictures"], body: Sections): EncodedSample[] {
  const { ids, learned } = body;
  const labels = new Int32Array(ids.length);
  for (let t = 0; t < labels.length; t++) labels[t] = learned[t] === 1 ? ids[t]! : IGNORE_LABEL;
  let [place, token] = [0, 0];
  const encoded = names.map((id, i): EncodedSample => {
    const [from, length] = [token, body.lengths[i]!];
    const images: string[] = [];
    const imageRuns: ImageRun[] = [];
    for (let k = 0; k < body.counts[i]!; k++, place++) {
      const [start, places] = [body.runs[3 * place + 1]!, body.runs[3 * place + 2]!];
      const picture = pictures[body.runs[3 * place]!];
      check(picture !== undefined && start >= 0 && places > 0 && start + places <= length, "pictures within samples");
      images.push(picture[0]);
      imageRuns.push({ start, length: places, image: k });
    }
    check(length > 0, "samples of at least one token");
    token += length;
    return { id, images, ids: ids.subarray(from, token), labels: labels.subarray(from, token), imageRuns };
  });
  check(token === body.ids.length && 3 * place === body.runs.length, "samples that fill the sections");
  return encoded;
}

interface Sections {
  readonly lengths: Int32Array; // [n]
  readonly counts: Int32Array; // [n]
  /** number of the picture, first place, places */
  readonly runs: Int32Array; // [p, 3]
  readonly ids: Int32Array; // [t]
  readonly learned: Uint8Array; // [t]
}

const bodyBytes = (n: number, p: number, t: number): number => 4 * (2 * n + 3 * p + t) + t;

function sectionsOf(n: number, p: number, t: number, buffer: ArrayBuffer, start = 0): Sections {
  const at = (numbers: number): number => start + 4 * numbers;
  return {
    lengths: new Int32Array(buffer, at(0), n),
    counts: new Int32Array(buffer, at(n), n),
    runs: new Int32Array(buffer, at(2 * n), 3 * p),
    ids: new Int32Array(buffer, at(2 * n + 3 * p), t),
    learned: new Uint8Array(buffer, at(2 * n + 3 * p + t), t),
  };
}

const isCount = (n: unknown): boolean => Number.isSafeInteger(n) && (n as number) >= 0;

function check(holds: boolean, expected: string): asserts holds {
  if (!holds) throw new InputError("CACHE_DAMAGED", { expected, got: "something else" });
}
