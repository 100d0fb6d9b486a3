// A command as its tests call it: in this process, with what it prints.
import { vi } from "vitest";
import { createProgram } from "./program.ts";

/** Runs the program with these arguments, keeps stderr quiet, and returns what stdout was given. Throws what it throws. */
export async function run(...args: string[]): Promise<string> {
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const written = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  await (await createProgram(args[0])).parseAsync(args, { from: "user" });
  const text = written.mock.calls.map(([each]) => String(each)).join("");
  written.mockRestore();
  return text;
}
