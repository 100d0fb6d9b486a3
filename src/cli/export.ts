// `llava export`: a model for another tool.
import { type Command, Option } from "commander";
import { InputError } from "../errors.ts";
import { exporters } from "../export/exporters.ts";
import { exportModel } from "../export/export.ts";
import { type WrittenDType } from "../models/config-write.ts";
import { exportRecipe } from "./export-job.ts";
import { addVerb, collect, wholeNumber } from "./options.ts";
import { print, printJson } from "./output.ts";
import { type Progress, startProgress } from "./progress.ts";
import { byteSize } from "./sizes.ts";

export interface ExportFlags {
  readonly to: string;
  readonly out: string;
  readonly dtype?: string;
  readonly quantize?: string;
  readonly mergeLora?: string;
  readonly shardSize?: number;
  readonly set?: readonly string[];
  readonly threads?: number;
  readonly force?: boolean;
  readonly json?: boolean;
}

export function addExport(program: Command): void {
  const doors = [
    ...Object.entries(exporters).map(([name, { title }]) => `${name}: ${title}`),
    "job: a recipe as a training job, for PyTorch elsewhere",
  ];
  const quantizations = [...new Set(Object.values(exporters).flatMap((door) => door.quantizations))];
  const names = [...Object.keys(exporters), "job"];
  const verb = addVerb(program, "export <model>", "write a model for another tool, or a recipe as a training job")
    .addOption(new Option("--to <door>", doors.join("; ")).choices(names).makeOptionMandatory())
    .addOption(new Option("--quantize <kind>", "fewer bits a weight").choices(quantizations))
    .option("--merge-lora <adapter>", "a LoRA adapter of this model that becomes part of the weights")
    .option("--set <key=value>", "of a job: change a key of the recipe (repeatable)", collect)
    .option("--threads <n>", "of a job: threads to compute its first losses with", wholeNumber(1, 1024));
  addExportOptions(verb).action((model: string, options: ExportFlags) => {
    refuseForeign(options);
    return options.to === "job" ? exportRecipe(model, options) : run(model, options);
  });
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

/** Options that a door has not. */
function refuseForeign({ to, dtype, quantize, mergeLora, set, threads }: ExportFlags): void {
  const foreign =
    to === "job"
      ? { "--dtype": dtype, "--quantize": quantize, "--merge-lora": mergeLora }
      : { "--set": set, "--threads": threads };
  const given = Object.entries(foreign).find(([, value]) => value !== undefined);
  if (given === undefined) return;
  throw new InputError("EXPORT_OPTION", { expected: `options of --to ${to}`, got: given[0] });
}

async function run(model: string, options: ExportFlags): Promise<void> {
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
