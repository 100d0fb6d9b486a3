// The program: its verbs, its help, and how it refuses what it does not know.
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { addDataCheck } from "./data-check.ts";
import { addDataConvert } from "./data-convert.ts";
import { addDataPreview } from "./data-preview.ts";
import { addInspect } from "./inspect.ts";
import { addTeach } from "./teach.ts";

/** The whole command line, ready to parse. Usage errors are thrown as CommanderError and written by the caller. */
export function createProgram(): Command {
  const program = new Command("llava");
  program
    .description("Teach a language model to see: pictures and captions in, a model that answers out.")
    .version(readVersion(), "-v, --version")
    .showSuggestionAfterError()
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  addTeach(program);
  const data = program.command("data").description("check, preview and convert training data");
  addDataCheck(data);
  addDataPreview(data);
  addDataConvert(data);
  addInspect(program);
  return program;
}

function readVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return version;
}
