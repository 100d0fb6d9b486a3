// `llava data convert`: captions of any kind, or samples, as LLaVA's JSON or JSON lines.
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { Option, type Command } from "commander";
import { jsonItems } from "../data/json-items.ts";
import type { Sample } from "../data/sample.ts";
import { streamSamples, writeSamples } from "../data/samples.ts";
import { openSource } from "../data/sources/open.ts";
import { teachCaptions } from "../teacher/facts/captions.ts";
import { addSourceOptions, addVerb, refuseOverwrite, sourceOptions, type SourceFlags } from "./options.ts";
import { grouped, print, printJson } from "./output.ts";
import { log } from "./progress.ts";

interface Options extends SourceFlags {
  readonly out: string;
  readonly captions: "one" | "all";
  readonly json?: boolean;
}

export function addDataConvert(data: Command): void {
  addSourceOptions(
    addVerb(data, "convert <source>", "write captions, or samples, as LLaVA's JSON (.json) or JSON lines (.jsonl)"),
  )
    .requiredOption("--out <file>", "where the samples go")
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
  refuseOverwrite(path, out);
  const { samples, images } = await readAny(path, options);
  await mkdir(dirname(out), { recursive: true });
  let count = 0;
  const counted = async function* (): AsyncGenerator<Sample> {
    for await (const sample of samples) {
      count++;
      yield sample;
    }
  };
  await writeSamples(out, counted());
  if (options.json) printJson({ out, samples: count, images });
  else print(`${out}: ${grouped(count)} samples${images === undefined ? "" : ` (images folder: ${images})`}`);
}

/** LLaVA's JSON stays what it is; of every other source the captions are taken. */
async function readAny(path: string, options: Options): Promise<{ samples: AsyncIterable<Sample>; images?: string }> {
  if (await holdsSamples(path)) return { samples: streamSamples(path) };
  const source = await openSource(path, sourceOptions(options));
  for (const note of source.notes) log(note);
  return {
    samples: teachCaptions(source, { captions: options.captions, wording: "plain" }),
    images: source.imagesRoot,
  };
}

async function holdsSamples(path: string): Promise<boolean> {
  try {
    for await (const { value } of jsonItems(path)) return Object.hasOwn(Object(value) as object, "conversations");
  } catch {
    // a folder or another format: opening it as a source tells what is wrong
  }
  return false;
}
