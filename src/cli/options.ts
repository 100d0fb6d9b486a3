// Parsers of option values: a wrong value ends as a usage error that says what would have been right.
import { resolve } from "node:path";
import { InvalidArgumentError, Option, type Command } from "commander";
import type { SourceOptions } from "../data/sources/source.ts";
import { InputError } from "../errors.ts";
import { weightForms } from "../generate/block-files-node.ts";
import { isInRange, type NumberRange, showRange } from "../generate/sampling-options.ts";

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

/** A parser of numbers in a range. */
export function inRange(range: NumberRange): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (isInRange(value, range)) return value;
    throw new InvalidArgumentError(`Expected ${showRange(range)}.`);
  };
}

/** Collects an option that may be given several times. */
export function collect(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

/** Adds a verb with the options that every verb has. */
export function addVerb(parent: Command, usage: string, description: string): Command {
  return parent.command(usage).description(description).option("--debug", "show the stack of an error");
}

/** Adds what `chooseEncoding` reads. */
export function addEncodingOptions(verb: Command): Command {
  return verb
    .option("--recipe <file>", "read samples as this recipe's training will")
    .option("--stage <name>", "the recipe's stage (default: the one that reads the file)")
    .option("--model <path>", "read samples as this model does")
    .option("--template <name>", "chat template (default: the recipe's or the model's)")
    .option("--picture-tokens <n>", "tokens of a picture, with a model that has no vision", wholeNumber(1));
}

/** How the language model's weights lie in memory while it answers. */
export function weightsOption(): Option {
  const told =
    "the language model's weights: as they are, or in blocks of 8 or 4 bits, made at the first start and kept";
  return new Option("--weights <form>", told).choices(weightForms).default("float32");
}

export interface SourceFlags {
  readonly images?: string;
  readonly skipMissing?: boolean;
}

/** Adds how captioned pictures are found. */
export function addSourceOptions(verb: Command): Command {
  return verb
    .option("--images <folder>", "the folder of the pictures (default: found beside the captions)")
    .option("--skip-missing", "leave out pictures whose file is missing");
}

/** What `openSource` takes. */
export function sourceOptions({ images, skipMissing }: SourceFlags): SourceOptions {
  return { ...(images === undefined ? {} : { images }), missing: skipMissing ? "skip" : "refuse" };
}

/** Throws `OUT_IS_SOURCE` when a verb would write over what it reads, or write two things to one file. */
export function refuseOverwrite(...paths: readonly string[]): void {
  const twice = paths.find((path, i) => paths.some((other, k) => k < i && resolve(other) === resolve(path)));
  if (twice === undefined) return;
  const fix = "choose another file to write to";
  throw new InputError("OUT_IS_SOURCE", { expected: "files that differ", got: `${twice} twice`, fix });
}
