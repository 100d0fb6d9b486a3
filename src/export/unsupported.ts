// The one error of what a layout can't say: what the other tool lacks, what the model has, what takes it instead.
import { InputError } from "../errors.ts";

export function unsupported(where: string, expected: string, got: string, fix: string): never {
  throw new InputError("EXPORT_UNSUPPORTED", { expected, got, where, fix });
}
