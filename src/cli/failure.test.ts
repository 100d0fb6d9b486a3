import { CommanderError } from "commander";
import { expect, it } from "vitest";
import { BugError, InputError, RunError } from "../errors.ts";
import { describeFailure, exitCodeOf } from "./failure.ts";
import { Interrupted } from "./interrupt.ts";
import { createProgram } from "./program.ts";

const details = { expected: "a picture", got: "a\ntext\u001B[31m", where: "a.jpg", fix: "delete it" };

it.each([
  [
    new InputError("PICTURE_FORMAT", details),
    2,
    "error[PICTURE_FORMAT]: expected a picture, got a text\uFFFD[31m (a.jpg); delete it",
  ],
  [new RunError("DISK_FULL", { expected: "10 bytes", got: "3" }), 1, "error[DISK_FULL]: expected 10 bytes, got 3"],
  [
    new BugError("GRAPH", { expected: "x", got: "y" }),
    1,
    /^error\[GRAPH\]: expected x, got y; this is llava's mistake: please report/,
  ],
  [
    new TypeError("x is not a function\n  at y"),
    1,
    /^error\[UNEXPECTED\]: TypeError: x is not a function at y; this is llava's/,
  ],
  ["just text", 1, /^error\[UNEXPECTED\]: just text/],
  [
    Object.assign(new Error("ENOSPC: …"), { code: "ENOSPC", syscall: "write", path: "/x" }),
    1,
    "error[ENOSPC]: no space left on the disk: /x",
  ],
  [
    new CommanderError(1, "commander.unknownOption", "error: unknown option '--x'\n(Did you mean --y?)"),
    2,
    "error[USAGE]: unknown option '--x' (did you mean --y?)",
  ],
  [new CommanderError(0, "commander.version", "0.1.0"), 0, undefined],
  [new Interrupted("interrupted"), 130, undefined],
])("%s", (error, code, line) => {
  expect(exitCodeOf(error)).toBe(code);
  const described = describeFailure(error);
  if (line instanceof RegExp) expect(described).toMatch(line);
  else expect(described).toBe(line);
});

it.each([
  [["inspct", "x"], /unknown command 'inspct' \(did you mean inspect\?\)/],
  [["inspect", "x", "--tensor"], /unknown option '--tensor' \(did you mean --tensors\?\)/],
  [["inspect"], /missing required argument 'path'/],
  [["inspect", "a", "b"], /too many arguments/],
])("refuses %j as wrong usage", async (args, message) => {
  const error: unknown = await (
    await createProgram()
  )
    .parseAsync(args, { from: "user" })
    .catch((thrown: unknown) => thrown);
  expect(exitCodeOf(error)).toBe(2);
  expect(describeFailure(error)).toMatch(message);
});
