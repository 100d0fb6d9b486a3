// Small checks for values that come from files: what they are, and how errors show them.
import { InputError } from "../errors.ts";

/** A JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value as an error shows it: JSON, cut after 80 characters. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/** The first few of a list, and how many more; `all` counts those that `names` leaves out. */
export function listed(names: readonly string[], most = 5, all = names.length): string {
  const more = all > most ? `, and ${all - most} more` : "";
  return names.slice(0, most).join(", ") + more;
}

/** An input error for a value at a place. */
export function refused(code: string, expected: string, got: string, where: string, fix?: string): InputError {
  return new InputError(code, { expected, got, where, ...(fix !== undefined && { fix }) });
}

/** "1 picture", "2 pictures". */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
