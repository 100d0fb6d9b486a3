// A source: WebDataset, tar shards in which a picture and its texts follow each other under one name.
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { createTarDecoder, type ParsedTarEntry } from "modern-tar";
import { InputError, LlavaError } from "../../errors.ts";
import { parseJson } from "../../formats/json.ts";
import { picturePath } from "../picture-path.ts";
import { isRecord, listed, refused } from "../untrusted.ts";
import { Gathered } from "./gathered.ts";
import { hasCaption, parseSaid, type CaptionRow } from "./rows.ts";
import { picturesFolder, unpacker, type PackedPicture } from "./shards.ts";
import { PICTURE_ENDING } from "./sidecar.ts";
import { sourceOf, type Source, type SourceOptions } from "./source.ts";

/** Endings of shards. */
export const SHARD = /\.(tar|tar\.gz|tgz)$/i;
/** Longer texts are no captions. */
const LARGEST_TEXT = 2 ** 20;
const LARGEST_PICTURE = 64 * 2 ** 20;

/**
 * Opens tar shards. Members of one sample share their path up to the first dot of the file name and follow each other;
 * `.txt` (a caption a line) and `.json` (as a row of a captions file) are read. Shards are read through once here, and
 * once more when pictures are unpacked.
 *
 * @throws InputError `TAR_INVALID`, `WEBDATASET_SAMPLE`, `CAPTIONS_EMPTY`, `CAPTIONS_UNKNOWN_PICTURES`, `PICTURE_PATH`,
 *   `TEXT_INVALID`, and what rows of a captions file throw
 */
export async function openWebDataset(path: string, shards: readonly string[], options: SourceOptions): Promise<Source> {
  const gathered = new Gathered();
  const notes = new Notes();
  for (const shard of shards) await readShard(shard, gathered, notes);
  if (gathered.size === 0) {
    throw new InputError("CAPTIONS_EMPTY", { expected: "at least one picture", got: "none", where: path });
  }
  const root = picturesFolder(path, options);
  return sourceOf(
    "webdataset",
    root,
    gathered,
    notes.settle(path, options),
    unpacker(root, () => packed(shards)),
  );
}

/** What was passed over. */
class Notes {
  bare = 0;
  readonly lonely: string[] = [];
  readonly endings = new Map<string, number>();

  settle(where: string, { missing }: SourceOptions): string[] {
    const list = [...this.endings].map(([ending, n]) => `not read: ${n} members .${ending}`);
    if (this.bare > 0) list.push(`without a caption: ${this.bare} pictures`);
    if (this.lonely.length === 0) return list;
    const got = `${this.lonely.length} without: ${listed(this.lonely)}`;
    if (missing === "skip") return [...list, `left out: samples without a picture, ${got}`];
    const fix = "mend the shards, or leave such samples out with --skip-missing";
    throw new InputError("CAPTIONS_UNKNOWN_PICTURES", { expected: "a picture in every sample", got, where, fix });
  }
}

interface Draft {
  readonly key: string;
  image?: string;
  readonly said: Omit<CaptionRow, "image">[];
}

async function readShard(shard: string, gathered: Gathered, notes: Notes): Promise<void> {
  let draft: Draft | undefined;
  const finish = (): void => {
    if (draft === undefined) return;
    const { image, said, key } = draft;
    if (image === undefined) {
      if (said.length > 0) notes.lonely.push(key);
      return;
    }
    if (gathered.has(image)) {
      const fix = "give every sample a name of its own, and keep its members together";
      throw refused("WEBDATASET_SAMPLE", "each picture once", `${image} again`, shard, fix);
    }
    gathered.add(image);
    for (const each of said) gathered.add(image, each);
    if (said.length === 0) notes.bare++;
  };
  for await (const { name, key, ending, size, bytes } of members(shard)) {
    const where = `${shard}, ${name}`;
    if (key !== draft?.key) {
      finish();
      draft = { key, said: [] };
    }
    if (PICTURE_ENDING.test(name)) {
      if (draft.image !== undefined) throw refused("WEBDATASET_SAMPLE", "one picture in a sample", "two", where);
      if (size === 0 || size > LARGEST_PICTURE)
        throw refused("WEBDATASET_SAMPLE", `a picture of 1 to ${LARGEST_PICTURE} bytes`, String(size), where);
      draft.image = picturePath(name, where);
    } else if (ending === "txt" || ending === "json") {
      if (size > LARGEST_TEXT) throw refused("WEBDATASET_SAMPLE", `at most ${LARGEST_TEXT} bytes`, String(size), where);
      const said = readText(ending, await bytes(), where);
      if (said !== undefined) draft.said.push(said);
    } else notes.endings.set(ending, (notes.endings.get(ending) ?? 0) + 1);
  }
  finish();
}

function readText(ending: "txt" | "json", bytes: Uint8Array, where: string): Omit<CaptionRow, "image"> | undefined {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new InputError("TEXT_INVALID", { expected: "UTF-8 text", got: "other bytes", where, cause });
  }
  if (ending === "txt") return { captions: text.split(/\r?\n/) };
  const value = parseJson(text, where);
  // most such files hold figures of the download alone
  return isRecord(value) && hasCaption(value) ? parseSaid(value, where) : undefined;
}

async function* packed(shards: readonly string[]): AsyncGenerator<PackedPicture> {
  for (const shard of shards) {
    for await (const { name, size, bytes } of members(shard)) {
      if (PICTURE_ENDING.test(name)) yield { image: picturePath(name, `${shard}, ${name}`), size, bytes };
    }
  }
}

interface Member {
  readonly name: string;
  /** the path up to the first dot of the file name */
  readonly key: string;
  /** what follows that dot */
  readonly ending: string;
  readonly size: number;
  bytes(): Promise<Uint8Array>;
}

/** The files of a shard in order; whatever else it holds (folders, links) is passed over. */
async function* members(shard: string): AsyncGenerator<Member> {
  const file = createReadStream(shard);
  const bytes = /\.t?gz$/i.test(shard) ? file.pipe(createGunzip()) : file;
  file.on("error", (error) => bytes.destroy(error));
  try {
    const entries = Readable.toWeb(bytes).pipeThrough(createTarDecoder({ strict: true }) as never);
    for await (const { header, body } of entries as AsyncIterable<ParsedTarEntry>) {
      let used = false;
      const read = async (): Promise<Uint8Array> => {
        used = true;
        return new Uint8Array(await new Response(body as never).arrayBuffer());
      };
      const folder = header.name.lastIndexOf("/") + 1;
      const dot = header.name.indexOf(".", folder + 1);
      const [key, ending] = dot < 0 ? [header.name, ""] : [header.name.slice(0, dot), header.name.slice(dot + 1)];
      const isFile = header.type === undefined || header.type === "file";
      if (isFile && !header.name.slice(folder).startsWith("."))
        yield { name: header.name, key, ending: ending.toLowerCase(), size: header.size, bytes: read };
      if (!used) await body.cancel();
    }
  } catch (cause) {
    if (cause instanceof LlavaError) throw cause;
    const got = cause instanceof Error ? (cause.message.split("\n")[0] as string) : String(cause);
    const fix = "fetch or write the shard again";
    throw new InputError("TAR_INVALID", { expected: "a whole tar file", got, where: shard, fix, cause });
  } finally {
    file.destroy();
    bytes.destroy();
  }
}
