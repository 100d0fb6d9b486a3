// What stages are evaluated on: samples of another file, or of pictures that no stage of the run trains on.
import { resolve } from "node:path";
import type { EncodedSample } from "../data/encode.ts";
import { pictureFile } from "../data/picture-path.ts";
import type { Sample } from "../data/sample.ts";
import { choosePictures, divideByPicture } from "../data/split.ts";
import { rowLayout, type RowLayout } from "./batches.ts";
import { imageMarker } from "../text/conversation.ts";
import type { ReadFile, ReadStage } from "./stage-samples.ts";

/** A sample's first question about its only picture. */
export interface SampleQuestion {
  /** the picture's file */
  readonly picture: string;
  readonly question: string;
  /** what the data says */
  readonly expected: string;
}

export interface HeldOut {
  readonly samples: readonly EncodedSample[];
  /** as their own lengths ask for, whatever is trained on */
  readonly layout: RowLayout;
  /** to be answered and looked at */
  readonly questions: readonly SampleQuestion[];
}

export interface DividedStage {
  /** what is left to train on of each of the stage's data files */
  readonly training: readonly (readonly EncodedSample[])[];
  readonly heldOut?: HeldOut;
}

/** Takes the pictures that any stage holds out away from all stages. Throws `SPLIT_SIZE`. */
export function holdOut(stages: readonly ReadStage[]): DividedStage[] {
  const chosen = stages.map(choose);
  const out = new Set(chosen.flatMap((pictures) => [...pictures]));
  return stages.map((read, i): DividedStage => {
    const training = read.files.map(({ encoded }) => without(encoded, read, out));
    const files = read.heldOutFile ? [read.heldOutFile] : read.files.map((file) => within(file, read, chosen[i]!));
    const samples = files.flatMap(({ encoded }) => encoded);
    if (samples.length === 0) return { training };
    const longest = samples.reduce((most, { ids }) => Math.max(most, ids.length), 0);
    const layout = rowLayout(longest, read.stage.row_length, read.stage.share_pictures);
    return { training, heldOut: { samples, layout, questions: questionsOf(read, files) } };
  });
}

/** The files of a sample's pictures: the same picture may be named in two ways. */
const picturesOf =
  ({ pictures }: ReadStage) =>
  ({ images }: EncodedSample): string[] =>
    images.map((name) => {
      const { root, image } = pictures.get(name)!;
      return resolve(pictureFile(root, image));
    });

function choose(read: ReadStage): ReadonlySet<string> {
  const { stage, files, pictures } = read;
  const amount = stage.evaluate?.held_out;
  if (typeof amount !== "number") return new Set();
  const names = new Map([...pictures.values()].map(({ root, image }) => [resolve(pictureFile(root, image)), image]));
  const appearing = files.flatMap(({ encoded }) => encoded.flatMap(picturesOf(read)));
  const rule = amount < 1 ? { fraction: amount } : { count: amount };
  // where the folder lies decides nothing
  const keyOf = (picture: string): string => names.get(picture)!;
  return new Set(choosePictures(appearing, rule, { keyOf, where: `stages.${stage.name}.evaluate.held_out` }));
}

/** Samples none of whose pictures are held out. Names are resolved only where some are: 158,000 take half a second. */
function without(
  samples: readonly EncodedSample[],
  read: ReadStage,
  out: ReadonlySet<string>,
): readonly EncodedSample[] {
  return out.size === 0 ? samples : divideByPicture(samples, picturesOf(read), out).training;
}

/** The samples of a file all of whose pictures are held out. */
function within({ samples, encoded }: ReadFile, read: ReadStage, out: ReadonlySet<string>): ReadFile {
  if (out.size === 0) return { samples: [], encoded: [] };
  const of = picturesOf(read);
  const both = encoded.map((one, i) => ({ one, sample: samples[i]! }));
  const kept = divideByPicture(both, ({ one }) => of(one), out).heldOut;
  return { samples: kept.map(({ sample }) => sample), encoded: kept.map(({ one }) => one) };
}

/** Questions of single-picture samples, spread evenly. */
function questionsOf({ stage, pictures }: ReadStage, files: readonly ReadFile[]): SampleQuestion[] {
  const all = files.flatMap(({ samples, encoded }) => samples.map((sample, i) => ({ sample, one: encoded[i]! })));
  const usable = all.filter(({ sample }) => sample.images.length === 1);
  const count = Math.min(stage.evaluate!.answers, usable.length);
  return Array.from({ length: count }, (_, i) => {
    const { sample, one } = usable[Math.floor((i * usable.length) / count)]!;
    const { root, image } = pictures.get(one.images[0]!)!;
    return questionOf(sample, pictureFile(root, image));
  });
}

function questionOf({ conversations }: Sample, picture: string): SampleQuestion {
  const question = conversations[0]!.value.replace(imageMarker, "").trim();
  return { picture, question, expected: conversations[1]!.value };
}
