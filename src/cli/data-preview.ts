// `llava data preview`: samples as the model will read them, with what it learns marked.
import type { Command } from "commander";
import { previewSample, renderPreview } from "../data/preview.ts";
import { streamSamples } from "../data/samples.ts";
import { InputError } from "../errors.ts";
import { chooseEncoding, type EncodingOptions } from "./encoding.ts";
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
  const wanted = options.id === undefined ? undefined : new Set(options.id);
  const color = process.stdout.isTTY && (process.env["NO_COLOR"] ?? "") === "";
  let [index, shown] = [0, 0];
  for await (const sample of streamSamples(file)) {
    if (wanted === undefined ? index++ < options.skip : !wanted.has(sample.id)) continue;
    const seen = previewSample(sample, chosen.encoding);
    if (options.json) printJson(seen);
    else print(`${shown === 0 ? "" : "\n"}${renderPreview(seen, { color })}`);
    if (++shown === (wanted === undefined ? options.count : wanted.size)) return;
  }
  if (shown > 0) return;
  const expected =
    wanted === undefined ? `more than ${options.skip} samples` : `a sample with the id ${options.id?.join(" or ")}`;
  throw new InputError("PREVIEW_NONE", { expected, got: "none", where: file });
}
