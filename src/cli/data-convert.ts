// `llava data convert`: captions of any kind, or samples, as LLaVA's JSON, JSON lines, Parquet or COCO, split by picture.
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { Option, type Command } from "commander";
import { captionSamples } from "../data/caption-samples.ts";
import { instancesPath, writeCoco } from "../data/coco-write.ts";
import { jsonItems } from "../data/json-items.ts";
import { holdsConversations, streamParquetSamples, type PackedSample } from "../data/parquet-samples.ts";
import type { Sample } from "../data/sample.ts";
import { isParquet, streamSamples, writeSamples } from "../data/samples.ts";
import { openSource } from "../data/sources/open.ts";
import type { Source } from "../data/sources/source.ts";
import { picturesFolder, unpacker, type PackedPicture } from "../data/sources/shards.ts";
import { parseSplits, splitOf, type SplitShare } from "../data/splits.ts";
import { InputError } from "../errors.ts";
import { captionRequests } from "../teacher/facts/kinds/caption.ts";
import { addSourceOptions, addVerb, refuseOverwrite, sourceOptions, type SourceFlags } from "./options.ts";
import { grouped, print, printJson, table } from "./output.ts";
import { log } from "./progress.ts";
import { unpackPictures } from "./teaching.ts";

interface Options extends SourceFlags {
  readonly out: string;
  readonly to?: "llava" | "coco";
  readonly captions: "one" | "all";
  readonly split?: string;
  readonly json?: boolean;
}

export function addDataConvert(data: Command): void {
  const about = "write captions, or samples, as LLaVA's JSON (.json), JSON lines (.jsonl) or Parquet (.parquet)";
  addSourceOptions(addVerb(data, "convert <source>", about))
    .requiredOption("--out <file>", "where the samples go")
    .addOption(
      new Option(
        "--to <layout>",
        "coco: captions_NAME.json, and instances_NAME.json where boxes are known (default: by the ending)",
      ).choices(["llava", "coco"]),
    )
    .option("--split <shares>", "several files by picture, e.g. test=0.1,validation=0.05; the rest is train")
    .addOption(
      new Option("--captions <which>", "of each picture: one at random, or all, a sample for each")
        .choices(["one", "all"])
        .default("all"),
    )
    .option("--json", "print what was written as JSON")
    .action(convert);
}

async function convert(path: string, options: Options): Promise<void> {
  const { out } = options;
  const splits = options.split === undefined ? undefined : parseSplits(options.split);
  const files = splits?.map(({ name }) => ({ name, file: out.replace(/(\.[^./\\]+)?$/, `-${name}$1`) }));
  const targets = files?.map(({ file }) => file) ?? [out];
  refuseOverwrite(path, ...targets, ...(options.to === "coco" ? targets.map(instancesPath) : []));
  const { read, images } = await readAny(path, options);
  await mkdir(dirname(out), { recursive: true });
  if (splits !== undefined) await tellMixed(read(), splits);
  const written: { out: string; samples: number }[] = [];
  const write = options.to === "coco" ? writeAsCoco : writeAsSamples;
  for (const { name, file } of files ?? [{ name: undefined, file: out }]) {
    const own = async function* (): AsyncGenerator<Sample> {
      for await (const sample of read()) {
        if (name === undefined || splits === undefined || splitOf(sample.images, splits) === name) yield sample;
      }
    };
    written.push({ out: file, samples: await write(file, own, images) });
  }
  const [first] = written;
  if (options.json) printJson(files === undefined ? { ...first, images } : { splits: written, images });
  else {
    const rows = written.map((each) => [each.out, grouped(each.samples), "samples"]);
    print(`${table(rows, [1])}${images === undefined ? "" : `\nimages folder: ${images}`}`);
  }
}

type Write = (file: string, read: () => AsyncIterable<Sample>, images: string | undefined) => Promise<number>;

const writeAsSamples: Write = async (file, read, images) => {
  let samples = 0;
  const counted = async function* (): AsyncGenerator<Sample> {
    for await (const sample of read()) {
      samples++;
      yield sample;
    }
  };
  await writeSamples(file, counted(), images);
  return samples;
};

const writeAsCoco: Write = async (file, read, imagesRoot) => {
  if (imagesRoot === undefined) {
    const fix = "name it with --images";
    throw new InputError("COCO_IMAGES", {
      expected: "the folder of the pictures, whose sizes COCO tells",
      got: "none",
      fix,
    });
  }
  const { samples, files, notes } = await writeCoco(file, read, { imagesRoot, requests: new Set(captionRequests) });
  for (const note of notes) log(note);
  if (files.length > 1) log(`boxes: ${files[1]!}`);
  return samples;
};

/** Samples whose pictures belong to several splits are in none. */
async function tellMixed(samples: AsyncIterable<Sample>, splits: readonly SplitShare[]): Promise<void> {
  let mixed = 0;
  for await (const { images } of samples) if (splitOf(images, splits) === undefined) mixed++;
  if (mixed > 0) log(`left out: ${grouped(mixed)} samples whose pictures belong to several splits`);
}

interface Readable {
  /** the samples from the start, each time it is called */
  readonly read: () => AsyncIterable<Sample>;
  readonly images?: string;
}

/** Conversations stay what they are; of every other source the captions are taken. */
async function readAny(path: string, options: Options): Promise<Readable> {
  if (isParquet(path) && (await holdsConversations(path))) return unpackSamples(path, options);
  const { images } = options;
  if (await holdsSamples(path)) return { read: () => streamSamples(path), ...(images === undefined ? {} : { images }) };
  const source = await openSource(path, sourceOptions(options));
  for (const note of source.notes) log(note);
  await unpackPictures(source);
  await tellSilent(source);
  const { captions } = options;
  return { read: () => captionSamples(source.pictures(), { captions }), images: source.imagesRoot };
}

/** Pictures of which nothing was said make no sample, even where boxes are known. */
async function tellSilent(source: Source): Promise<void> {
  let [silent, boxed] = [0, 0];
  for await (const { captions, objects } of source.pictures()) {
    if (captions.length > 0) continue;
    silent++;
    if ((objects?.length ?? 0) > 0) boxed++;
  }
  if (silent > 0) log(`left out: ${grouped(silent)} pictures without a caption, ${grouped(boxed)} of them with boxes`);
}

/** Puts the pictures of Parquet's samples into a folder; every sample is checked before the first is written. */
async function unpackSamples(path: string, options: Options): Promise<Readable> {
  const root = picturesFolder(path, options);
  let count = 0;
  for await (const { pictures } of streamParquetSamples(path)) count += pictures.length;
  const source = { count, imagesRoot: root, unpack: unpacker(root, () => pictures(streamParquetSamples(path))) };
  await unpackPictures(source);
  const read = async function* (): AsyncGenerator<Sample> {
    for await (const { sample } of streamParquetSamples(path)) yield sample;
  };
  return { read, images: root };
}

async function* pictures(samples: AsyncIterable<PackedSample>): AsyncGenerator<PackedPicture> {
  for await (const { sample, pictures } of samples) {
    for (const [i, bytes] of pictures.entries()) {
      yield { image: sample.images[i] as string, size: bytes.length, bytes: () => Promise.resolve(bytes) };
    }
  }
}

async function holdsSamples(path: string): Promise<boolean> {
  try {
    for await (const { value } of jsonItems(path)) return Object.hasOwn(Object(value) as object, "conversations");
  } catch {
    // a folder or another format: opening it as a source tells what is wrong
  }
  return false;
}
