// Parsers of option values: a wrong value ends as a usage error that says what would have been right.
import { InvalidArgumentError, type Command } from "commander";

/** A parser of whole numbers within bounds. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`Expected a whole number ${range}.`);
  };
}

/** A parser of numbers within bounds. */
export function decimal(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a number from ${min} to ${max}.`);
  };
}

/** A parser of comma-separated names out of a fixed set. */
export function namesOf<T extends string>(known: readonly T[]): (text: string) => T[] {
  return (text) =>
    text.split(",").map((name) => {
      const found = known.find((each) => each === name.trim());
      if (found === undefined) throw new InvalidArgumentError(`"${name.trim()}" is none of ${known.join(", ")}.`);
      return found;
    });
}

/** Collects an option that may be given several times. */
export function collect(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

/** Adds a verb with the options that every verb has. */
export function addVerb(parent: Command, usage: string, description: string): Command {
  return parent.command(usage).description(description).option("--debug", "show the stack of an error");
}
