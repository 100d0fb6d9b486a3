// `llava merge`: an adapter becomes part of the weights, for tools that read none.
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { InputError } from "../errors.ts";
import { mergeModel } from "../models/merge-node.ts";
import { addVerb } from "./options.ts";
import { print, printJson } from "./output.ts";
import { type Progress, startProgress } from "./progress.ts";

interface Options {
  readonly adapter?: string;
  readonly out: string;
  readonly json?: boolean;
}

export function addMerge(program: Command): void {
  addVerb(program, "merge <model>", "join a model and its LoRA adapter into one model")
    .option("--adapter <folder>", "the adapter in PEFT's format (default: the one in the model's folder)")
    .requiredOption("--out <folder>", "where the merged model goes")
    .option("--json", "print the folder as JSON")
    .action(merge);
}

async function merge(model: string, { adapter, out, json }: Options): Promise<void> {
  if (existsSync(out)) {
    const fix = "name another folder, or remove this one";
    throw new InputError("OUTPUT_EXISTS", { expected: "a new folder", got: "one that exists", where: out, fix });
  }
  let progress: Progress | undefined;
  const onProgress = (done: number, total: number): void => {
    progress ??= startProgress({ label: "merging", unit: "tensors", total });
    progress.update(done);
  };
  await mergeModel(model, { adapter, out, onProgress }).finally(() => progress?.finish());
  if (json) printJson({ model: out });
  else print(out);
}
