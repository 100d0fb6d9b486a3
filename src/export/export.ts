// A model through a door: everything is checked first, written beside, flushed, and then renamed.
import { basename, join } from "node:path";
import { InputError } from "../errors.ts";
import { writeFileAtomic } from "../formats/node.ts";
import { exportCard } from "../models/card.ts";
import { readCard } from "../models/card-node.ts";
import type { WrittenDType } from "../models/config-write.ts";
import { openModel } from "../models/node.ts";
import { writeFolder } from "../models/save-node.ts";
import type { Exporter, ExportSettings } from "./exporter.ts";
import { exporters } from "./exporters.ts";
import { checkOutput } from "./output.ts";

export interface ExportOptions {
  /** one of `exporters` */
  readonly to: string;
  readonly out: string;
  readonly dtype?: WrittenDType;
  readonly quantize?: string;
  /** folder of a PEFT adapter whose products become part of the weights */
  readonly adapter?: string;
  readonly shardBytes?: number;
  /** replaces an older export */
  readonly force?: boolean;
  readonly onProgress?: (done: number, total: number) => void;
}

/** As transformers 4 cut checkpoints. */
export const SHARD_BYTES = 5e9;

/**
 * Writes a model directory for another tool, with a card. An older export in its place is kept until the new one is whole.
 * Throws `EXPORT_UNKNOWN`, `EXPORT_OPTION`, `EXPORT_UNSUPPORTED`, `OUTPUT_EXISTS`, `OUTPUT_NOT_A_MODEL`, and as `openModel`.
 */
export async function exportModel(path: string, options: ExportOptions): Promise<void> {
  const exporter = chosen(options);
  const out = await checkOutput(path, options.out, options.force ?? false);
  const model = await openModel(path, { adapter: options.adapter });
  try {
    if (model.kind === "vision") {
      const fix = "name a llava model or a language model";
      throw new InputError("EXPORT_UNSUPPORTED", { expected: "a whole model", got: "a tower alone", where: path, fix });
    }
    exporter.check(model);
    const settings: ExportSettings = { ...options, shardBytes: options.shardBytes ?? SHARD_BYTES, name: basename(out) };
    const usage = exporter.usage(model, settings);
    const card = exportCard({ name: settings.name, config: model.config, usage, source: await readCard(model.where) });
    await writeFolder(out, async (unfinished) => {
      await exporter.write(model, unfinished, settings);
      await writeFileAtomic(join(unfinished, "README.md"), card);
    });
  } finally {
    await model.close();
  }
}

function chosen({ to, dtype, quantize }: ExportOptions): Exporter {
  const exporter = Object.hasOwn(exporters, to) ? exporters[to] : undefined;
  if (exporter === undefined) {
    throw new InputError("EXPORT_UNKNOWN", { expected: `one of ${Object.keys(exporters).join(", ")}`, got: to });
  }
  const refuse = (what: string, known: readonly string[], got: string): never => {
    const expected = known.length === 0 ? `no ${what} for ${to}` : `${what} ${known.join(", ")} for ${to}`;
    throw new InputError("EXPORT_OPTION", { expected, got });
  };
  if (dtype !== undefined && !exporter.dtypes.includes(dtype)) refuse("--dtype", exporter.dtypes, dtype);
  if (quantize !== undefined && !exporter.quantizations.includes(quantize)) {
    refuse("--quantize", exporter.quantizations, quantize);
  }
  return exporter;
}
