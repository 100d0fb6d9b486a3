#!/usr/bin/env node
// The `llava` command: runs the program and turns whatever happens into an exit code.
import { createProgram } from "./program.ts";
import { exitCodeOf, reportFailure } from "./failure.ts";
import { quietOnClosedPipe } from "./output.ts";

quietOnClosedPipe();
try {
  await createProgram().parseAsync();
} catch (error) {
  reportFailure(error, process.argv.includes("--debug"));
  process.exitCode = exitCodeOf(error);
}
