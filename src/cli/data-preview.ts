// `llava data preview`: samples as the model will read them, with what it learns marked.
import type { Command } from "commander";
import { type EncodedSample, encodeSample, type Encoding } from "../data/encode.ts";
import { previewEncoded, previewSample, renderPreview, type SamplePreview } from "../data/preview.ts";
import type { Sample } from "../data/sample.ts";
import { streamSamples } from "../data/samples.ts";
import { groupSamples, joinGroup } from "../data/share.ts";
import { InputError } from "../errors.ts";
import { rowLayout } from "../train/batches.ts";
import type { StageRecipe } from "../train/recipe.ts";
import { type ChosenEncoding, chooseEncoding, type EncodingOptions } from "./encoding.ts";
import { addEncodingOptions, addVerb, collect, wholeNumber } from "./options.ts";
import { print, printJson } from "./output.ts";

interface Options extends EncodingOptions {
  readonly count: number;
  readonly skip: number;
  readonly id?: readonly string[];
  readonly json?: boolean;
}

export function addDataPreview(data: Command): void {
  addEncodingOptions(addVerb(data, "preview <file>", "show samples as the model reads them, what it learns marked"))
    .option("-n, --count <n>", "how many samples", wholeNumber(1), 3)
    .option("--skip <n>", "leave out the first n", wholeNumber(0), 0)
    .option("--id <id>", "the sample with this id (may be repeated)", collect)
    .option("--json", "one JSON object a line")
    .action(preview);
}

async function preview(file: string, options: Options): Promise<void> {
  const chosen = await chooseEncoding(file, options);
  if (chosen === undefined) {
    const [expected, got] = ["a tokenizer and a template to show samples with", "neither --recipe nor --model"];
    throw new InputError("PREVIEW_MODEL", { expected, got, fix: "name the recipe or the model that will read them" });
  }
  const color = process.stdout.isTTY && (process.env["NO_COLOR"] ?? "") === "";
  let shown = 0;
  for await (const seen of previews(file, chosen, options)) {
    if (options.json) printJson(seen);
    else print(`${shown === 0 ? "" : "\n"}${renderPreview(seen, { color })}`);
    shown++;
  }
  if (shown > 0) return;
  const { id, skip } = options;
  const expected = id === undefined ? `more than ${skip} samples` : `a sample with the id ${id.join(" or ")}`;
  throw new InputError("PREVIEW_NONE", { expected, got: "none", where: file });
}

async function* previews(
  file: string,
  { encoding, stage }: ChosenEncoding,
  options: Options,
): AsyncGenerator<SamplePreview> {
  if (stage?.share_pictures !== undefined) return yield* sharedPreviews(file, encoding, stage, options);
  for await (const [sample] of wantedSamples(file, options)) yield previewSample(sample, encoding);
}

/** Each with the others of the file that can be read behind its pictures; training draws them by the seed. */
async function* sharedPreviews(
  file: string,
  encoding: Encoding,
  { share_pictures: most = 1, row_length: rowLength }: StageRecipe,
  options: Options,
): AsyncGenerator<SamplePreview> {
  const places = new Map<EncodedSample, string>();
  const encode = (sample: Sample): void => void places.set(encodeSample(sample, encoding), sample.where);
  const taken = new Set<number>();
  for await (const [sample, index] of wantedSamples(file, options)) {
    encode(sample);
    taken.add(index);
  }
  const wanted = new Set(places.keys());
  const pictures = new Set([...wanted].map(({ images }) => images.join("\n")));
  let index = 0;
  for await (const sample of streamSamples(file)) {
    const shares = sample.images.length > 0 && pictures.has(sample.images.join("\n"));
    if (shares && !taken.has(index)) encode(sample);
    index++;
  }
  const all = [...places.keys()];
  const { length: longest } = rowLayout(Math.max(...all.map(({ ids }) => ids.length)), rowLength);
  for (const group of groupSamples(all, { most, longest })) {
    if (wanted.has(group[0]!)) yield previewEncoded(joinGroup(group), places.get(group[0]!)!, encoding);
  }
}

/** Samples that are asked for, each with its place in the file. */
async function* wantedSamples(file: string, { id, skip, count }: Options): AsyncGenerator<[Sample, number]> {
  const ids = id === undefined ? undefined : new Set(id);
  let [index, found] = [-1, 0];
  for await (const sample of streamSamples(file)) {
    index++;
    if (ids === undefined ? index < skip : !ids.has(sample.id)) continue;
    yield [sample, index];
    if (++found === (ids === undefined ? count : ids.size)) return;
  }
}
