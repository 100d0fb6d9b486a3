// `llava pull`: a model from the Hugging Face hub.
import type { Command } from "commander";
import { pull } from "../hub/pull.ts";
import { interruptible } from "./interrupt.ts";
import { addVerb, collect } from "./options.ts";
import { print, printJson, showBytes } from "./output.ts";
import { log } from "./progress.ts";

interface Options {
  readonly revision?: string;
  readonly file?: readonly string[];
  readonly offline?: boolean;
  readonly json?: boolean;
}

export function addPull(program: Command): void {
  addVerb(program, "pull <id>", "download a model (OWNER/NAME) from the Hugging Face hub, or go on with it")
    .option("--revision <name>", "branch, tag or commit (default: main)")
    .option("--file <name>", "only this file (repeatable)", collect)
    .option("--offline", "ask nothing of the network: the folder of what was pulled before")
    .option("--json", "print the folder as JSON")
    .action(run);
}

async function run(id: string, { revision, file, offline, json }: Options): Promise<void> {
  const told = new Set<string>();
  const onProgress = (name: string, _: number, total: number): void => {
    if (told.has(name)) return;
    told.add(name);
    log(`${name}, ${showBytes(total)}`);
  };
  const folder = await interruptible((signal) =>
    pull(id, {
      ...(revision === undefined ? {} : { revision }),
      ...(file === undefined ? {} : { files: file }),
      offline: offline ?? process.env["HF_HUB_OFFLINE"] === "1",
      signal,
      onProgress,
    }),
  );
  if (json) printJson({ model: folder });
  else print(folder);
}
