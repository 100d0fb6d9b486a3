// `llava export`: a model for another tool.
import { type Command, Option } from "commander";
import { exporters } from "../export/exporters.ts";
import { exportModel } from "../export/export.ts";
import { type WrittenDType } from "../models/config-write.ts";
import { addVerb } from "./options.ts";
import { print, printJson } from "./output.ts";
import { type Progress, startProgress } from "./progress.ts";
import { byteSize } from "./sizes.ts";

interface Options {
  readonly to: string;
  readonly out: string;
  readonly dtype?: string;
  readonly quantize?: string;
  readonly mergeLora?: string;
  readonly shardSize?: number;
  readonly force?: boolean;
  readonly json?: boolean;
}

export function addExport(program: Command): void {
  const doors = Object.entries(exporters).map(([name, { title }]) => `${name}: ${title}`);
  const quantizations = [...new Set(Object.values(exporters).flatMap((door) => door.quantizations))];
  const verb = addVerb(program, "export <model>", "write a model for another tool")
    .addOption(new Option("--to <door>", doors.join("; ")).choices(Object.keys(exporters)).makeOptionMandatory())
    .addOption(new Option("--quantize <kind>", "fewer bits a weight").choices(quantizations))
    .option("--merge-lora <adapter>", "a LoRA adapter of this model that becomes part of the weights");
  addExportOptions(verb).action(run);
}

/** Adds what every verb has that writes a whole model. */
export function addExportOptions(verb: Command): Command {
  return verb
    .requiredOption("--out <folder>", "where it goes")
    .addOption(new Option("--dtype <type>", "element type of the weights").choices(["f32", "f16", "bf16"]))
    .option("--shard-size <bytes>", "largest file of weights, like 2GB (default: 5GB)", byteSize)
    .option("--force", "replace an older model there")
    .option("--json", "print the folder as JSON");
}

async function run(model: string, options: Options): Promise<void> {
  const { to, out, dtype, quantize, mergeLora, shardSize, force, json } = options;
  let progress: Progress | undefined;
  const onProgress = (done: number, total: number): void => {
    progress ??= startProgress({ label: "exporting", unit: "tensors", total });
    progress.update(done);
  };
  await exportModel(model, {
    to,
    out,
    ...(dtype === undefined ? {} : { dtype: dtype.toUpperCase() as WrittenDType }),
    ...(quantize === undefined ? {} : { quantize }),
    ...(mergeLora === undefined ? {} : { adapter: mergeLora }),
    ...(shardSize === undefined ? {} : { shardBytes: shardSize }),
    ...(force === undefined ? {} : { force }),
    onProgress,
  }).finally(() => progress?.finish());
  if (json) printJson({ model: out, to });
  else print(out);
}
