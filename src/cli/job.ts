// `llava job`: what comes back from a training job that ran elsewhere.
import type { Command } from "commander";
import { SHARD_BYTES } from "../export/export.ts";
import { importJob } from "../export/job/import.ts";
import type { WrittenDType } from "../models/config-write.ts";
import { addExportOptions } from "./export.ts";
import { addVerb } from "./options.ts";
import { print, printJson } from "./output.ts";
import { type Progress, startProgress } from "./progress.ts";

interface Options {
  readonly out: string;
  readonly dtype?: string;
  readonly shardSize?: number;
  readonly force?: boolean;
  readonly json?: boolean;
}

export function addJob(program: Command): void {
  const job = program.command("job").description("training jobs that ran elsewhere (llava export --to job)");
  const verb = addVerb(job, "import <folder>", "make a trained job a model directory");
  addExportOptions(verb).action(run);
}

async function run(folder: string, { out, dtype, shardSize = SHARD_BYTES, force, json }: Options): Promise<void> {
  let progress: Progress | undefined;
  const onProgress = (done: number, total: number): void => {
    progress ??= startProgress({ label: "importing", unit: "tensors", total });
    progress.update(done);
  };
  await importJob(folder, {
    out,
    shardBytes: shardSize,
    ...(dtype === undefined ? {} : { dtype: dtype.toUpperCase() as WrittenDType }),
    ...(force === undefined ? {} : { force }),
    onProgress,
  }).finally(() => progress?.finish());
  if (json) printJson({ model: out });
  else print(out);
}
