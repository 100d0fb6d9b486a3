#!/usr/bin/env node
// The `llava` command: runs the program and turns whatever happens into an exit code.
import { createProgram } from "./program.ts";
import { exitCodeOf, reportFailure } from "./failure.ts";
import { quietOnClosedPipe } from "./output.ts";

quietOnClosedPipe();
try {
  const program = await createProgram(process.argv[2]);
  await program.parseAsync();
} catch (error) {
  reportFailure(error, process.argv.includes("--debug"));
  process.exitCode = exitCodeOf(error);
}
