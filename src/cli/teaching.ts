// What `llava teach` does besides asking a teacher: keeps pictures out, and writes questions about them.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { CaptionedPicture, Sample } from "../data/sample.ts";
import { writeSamples } from "../data/samples.ts";
import type { Source } from "../data/sources/source.ts";
import { checkSplit } from "../data/split.ts";
import { InputError } from "../errors.ts";
import { writeFileAtomic } from "../formats/node.ts";
import { defaultMixture, type FactKindName } from "../teacher/facts/kinds.ts";
import { factQuestions, presenceLines } from "../teacher/facts/questions.ts";
import type { Mixture } from "../teacher/facts/survey.ts";
import { interruptible } from "./interrupt.ts";
import { grouped } from "./output.ts";
import { log, startProgress } from "./progress.ts";

/** Pictures that can be read as often as needed, and how many there are. */
export type Pictures = Pick<Source, "pictures" | "count">;

/** Pictures for training, and those that training never sees. */
export interface Divided {
  readonly training: Pictures;
  readonly keptOut: readonly CaptionedPicture[];
}

/** Keeps the last `keepOut` pictures out; throws `SPLIT_SIZE` when too few would be left. */
export async function divide(source: Pictures, keepOut: number): Promise<Divided> {
  if (keepOut === 0) return { training: source, keptOut: [] };
  checkSplit(keepOut, source.count);
  const count = source.count - keepOut;
  const keptOut: CaptionedPicture[] = [];
  let place = 0;
  for await (const picture of source.pictures()) if (place++ >= count) keptOut.push(picture);
  const training = async function* (): AsyncGenerator<CaptionedPicture> {
    let left = count;
    for await (const picture of source.pictures()) {
      if (left-- === 0) return;
      yield picture;
    }
  };
  return { training: { count, pictures: training }, keptOut };
}

/** Writes the pictures of shards as files, where a source has its pictures there. */
export async function unpackPictures({
  unpack,
  count,
  imagesRoot,
}: Pick<Source, "unpack" | "count" | "imagesRoot">): Promise<void> {
  if (unpack === undefined) return;
  const progress = startProgress({ label: "unpack", unit: "pictures", total: count });
  const written = await interruptible((signal) => unpack({ signal, onProgress: (done) => progress.update(done) }));
  progress.finish();
  if (written > 0) log(`unpacked ${grouped(written)} pictures into ${imagesRoot}`);
}

/** "presence,count=3" → the mixture with these kinds alone; without an amount a kind keeps its default. */
export function parseMixture(text: string): Mixture {
  const mixture = Object.fromEntries(Object.keys(defaultMixture).map((name) => [name, 0])) as Record<
    FactKindName,
    number
  >;
  for (const part of text.split(",")) {
    const [name = "", amount] = part.trim().split("=");
    if (!Object.hasOwn(defaultMixture, name)) {
      const fix = `choose among ${Object.keys(defaultMixture).join(", ")}`;
      throw new InputError("FACTS_MIXTURE", {
        expected: "a kind of question",
        got: `"${name}"`,
        where: "--kinds",
        fix,
      });
    }
    const kind = name as FactKindName;
    mixture[kind] = amount === undefined ? defaultMixture[kind] : Number(amount);
  }
  return mixture;
}

/** A file of questions about the pictures that were kept out. */
export interface QuestionFile {
  readonly path: string;
  readonly questions: number;
}

/**
 * Writes presence questions as POPE has them (three files, by how absent objects were chosen) and counting and
 * left/right questions as samples for exact match. Frequencies are those of the training pictures.
 */
export async function writeQuestions(
  folder: string,
  { training, keptOut }: Divided,
  { seed, smallest }: { readonly seed: number; readonly smallest: number },
): Promise<QuestionFile[]> {
  await mkdir(folder, { recursive: true });
  const written: QuestionFile[] = [];
  for (const strategy of ["random", "popular", "adversarial"] as const) {
    const lines = await presenceLines(keptOut, { strategy, smallest, seed, statistics: training });
    const path = join(folder, `pope-${strategy}.jsonl`);
    await writeFileAtomic(path, lines.join(""));
    written.push({ path, questions: lines.length });
  }
  for (const kind of ["count", "left-right"] as const) {
    const samples: Sample[] = [];
    for await (const sample of factQuestions(keptOut, { kind, seed })) samples.push(sample);
    const path = join(folder, `${kind}.json`);
    await writeSamples(path, samples);
    written.push({ path, questions: samples.length });
  }
  return written;
}
