// `llava import`: LLaVA's own checkpoints as a llava directory.
import type { Command } from "commander";
import { SHARD_BYTES } from "../export/export.ts";
import { importOriginal } from "../export/original.ts";
import type { WrittenDType } from "../models/config-write.ts";
import { addExportOptions } from "./export.ts";
import { addVerb } from "./options.ts";
import { print, printJson } from "./output.ts";
import { type Progress, startProgress } from "./progress.ts";

interface Options {
  readonly out: string;
  readonly vision: string;
  readonly base?: string;
  readonly tokenizer?: string;
  readonly template?: string;
  readonly dtype?: string;
  readonly shardSize?: number;
  readonly force?: boolean;
  readonly json?: boolean;
}

export function addImport(program: Command): void {
  const verb = addVerb(program, "import <checkpoint>", "read a checkpoint of LLaVA's own code (1.0 to 1.5)")
    .requiredOption("--vision <folder>", "the CLIP tower that it was trained with")
    .option("--base <folder>", "the language model, where the checkpoint is a delta to it")
    .option("--tokenizer <folder>", "with tokenizer.json or tokenizer.model (default: the checkpoint)")
    .option("--template <name>", "how conversations are written (default: vicuna_v1)");
  addExportOptions(verb).action(run);
}

async function run(checkpoint: string, options: Options): Promise<void> {
  const { dtype, shardSize = SHARD_BYTES, json, ...given } = options;
  let progress: Progress | undefined;
  const onProgress = (done: number, total: number): void => {
    progress ??= startProgress({ label: "importing", unit: "tensors", total });
    progress.update(done);
  };
  await importOriginal(checkpoint, {
    ...given,
    ...(dtype === undefined ? {} : { dtype: dtype.toUpperCase() as WrittenDType }),
    shardBytes: shardSize,
    onProgress,
  }).finally(() => progress?.finish());
  if (json) printJson({ model: options.out });
  else print(options.out);
}
