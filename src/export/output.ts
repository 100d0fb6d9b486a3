// Where exports and imports may write: a new folder, or in place of an older model when told so.
import { readdir, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { InputError } from "../errors.ts";

/** The whole path of a folder that may be written. Throws `OUT_IS_SOURCE`, `OUTPUT_EXISTS`, `OUTPUT_NOT_A_MODEL`. */
export async function checkOutput(source: string, folder: string, force: boolean): Promise<string> {
  const out = resolve(folder);
  const found = await stat(out).catch(() => undefined);
  if (found === undefined) return out;
  const fail = (code: string, expected: string, got: string, fix: string): never => {
    throw new InputError(code, { expected, got, where: out, fix });
  };
  if (resolve(source) === out) fail("OUT_IS_SOURCE", "another folder than the model's", "the same", "name another");
  if (!force) fail("OUTPUT_EXISTS", "a new folder", "one that exists", "name another, or replace it with --force");
  const names = found.isDirectory() ? await readdir(out) : undefined;
  const isModel =
    names?.length === 0 ||
    names?.some((name) => name === "config.json" || name === "job.json" || name.endsWith(".gguf"));
  const fix = "name another folder, or remove this one";
  if (!isModel) fail("OUTPUT_NOT_A_MODEL", "an empty folder or a model's, to be replaced", "something else", fix);
  return out;
}
