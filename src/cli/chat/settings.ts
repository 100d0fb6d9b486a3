// How a chat answers: the options of the command line, and what `/set` changes of them.
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { InputError } from "../../errors.ts";
import { readJsonFile } from "../../formats/node.ts";
import type { AnswerOptions } from "../../generate/assistant.ts";
import type { Constraints } from "../../generate/constraint.ts";
import { jsonConstraints } from "../../generate/json-constraint.ts";
import {
  optionFlag,
  type SamplingName,
  type SamplingOptions,
  samplingRanges,
} from "../../generate/sampling-options.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { collect, inRange, wholeNumber } from "../options.ts";
import { filePath } from "./paths.ts";

/** What the command line gives. */
export interface AnsweringFlags extends SamplingOptions {
  readonly maxNewTokens: number;
  readonly stop?: readonly string[];
  readonly schema?: string;
  readonly stats?: boolean;
}

/** A JSON Schema, and the file that it came from. */
export interface SchemaFile {
  readonly path: string;
  readonly schema: unknown;
}

export interface ChatSettings {
  readonly sampling: SamplingOptions;
  readonly maxNewTokens: number;
  readonly stopTexts: readonly string[];
  readonly schema: SchemaFile | undefined;
  /** tells speed and tokens after each answer */
  readonly stats: boolean;
}

const samplingNames = Object.keys(samplingRanges) as SamplingName[];
const longest = "the most tokens of an answer";
const stops = "a text that ends the answer and is not part of it";
const schemas = "hold answers to this JSON Schema";
const speeds = "tell speed and tokens after each answer";

/** Adds every option of how answers are drawn. */
export function addAnsweringOptions(verb: Command): Command {
  for (const name of samplingNames) {
    const range = samplingRanges[name];
    verb.option(`--${optionFlag(name)} <${range.whole ? "n" : "x"}>`, range.meaning, inRange(range));
  }
  return verb
    .option("--max-new-tokens <n>", longest, wholeNumber(1), 512)
    .option("--stop <text>", `${stops} (repeatable)`, collect)
    .option("--schema <file>", schemas)
    .option("--stats", speeds);
}

/** The settings to begin with. Throws as `readSchema`. */
export async function settingsOf(flags: AnsweringFlags): Promise<ChatSettings> {
  const given = samplingNames.flatMap((name) => (flags[name] === undefined ? [] : [[name, flags[name]] as const]));
  return {
    sampling: Object.fromEntries(given) as SamplingOptions,
    maxNewTokens: flags.maxNewTokens,
    stopTexts: flags.stop ?? [],
    schema: flags.schema === undefined ? undefined : await readSchema(flags.schema),
    stats: flags.stats ?? false,
  };
}

/** A JSON Schema's file. Throws `FILE_…`, `JSON_…`; what the schema says is checked where it is used. */
async function readSchema(word: string): Promise<SchemaFile> {
  const path = filePath(word);
  return { path, schema: await readJsonFile(path, { maxBytes: 2 ** 20, maxDepth: 64 }) };
}

const known = new WeakMap<SchemaFile, Constraints>();

/** The settings as an answer takes them. Throws `JSON_SCHEMA`, `GRAMMAR_SIZE` for schemas that cannot be held to. */
export function answerOptions(settings: ChatSettings, tokenizer: Tokenizer): AnswerOptions {
  const { sampling, maxNewTokens, stopTexts } = settings;
  return { ...sampling, maxNewTokens, stopTexts, constraint: constraintsOf(settings, tokenizer)?.start() };
}

/** What holds answers to the settings' schema. Throws as `answerOptions`. */
export function constraintsOf({ schema }: ChatSettings, tokenizer: Tokenizer): Constraints | undefined {
  if (schema === undefined) return undefined;
  const made = known.get(schema) ?? jsonConstraints(tokenizer, schema.schema);
  known.set(schema, made);
  return made;
}

interface Setting {
  readonly meaning: string;
  show(settings: ChatSettings): string;
  /** without words: as if it had never been given */
  change(settings: ChatSettings, words: readonly string[]): ChatSettings | Promise<ChatSettings>;
}

const own: Readonly<Record<string, Setting>> = {
  "max-new-tokens": {
    meaning: longest,
    show: ({ maxNewTokens }) => String(maxNewTokens),
    change: (settings, [word]) => ({ ...settings, maxNewTokens: word === undefined ? 512 : wholeNumber(1)(word) }),
  },
  stop: {
    meaning: "texts that end the answer and are not part of it",
    show: ({ stopTexts }) => stopTexts.map((text) => JSON.stringify(text)).join(" ") || "off",
    change: (settings, words) => ({ ...settings, stopTexts: words.filter((word) => word !== "") }),
  },
  schema: {
    meaning: schemas,
    show: ({ schema }) => schema?.path ?? "off",
    change: async (settings, [word]) => ({
      ...settings,
      schema: word === undefined ? undefined : await readSchema(word),
    }),
  },
  stats: {
    meaning: speeds,
    show: ({ stats }) => (stats ? "on" : "off"),
    change: (settings, [word]) => ({ ...settings, stats: word === "on" }),
  },
};

const all: Readonly<Record<string, Setting>> = {
  ...Object.fromEntries(samplingNames.map((name) => [optionFlag(name), samplingSetting(name)])),
  ...own,
};

export const settingNames: readonly string[] = Object.keys(all);

/** Every setting with its value and meaning. */
export function showSettings(settings: ChatSettings): string[][] {
  return Object.entries(all).map(([name, { show, meaning }]) => [name, show(settings), meaning]);
}

/** Changes one setting; "off" takes it back. Throws `CHAT_SETTING`, and for schemas as `readSchema`. */
export async function changeSetting(
  settings: ChatSettings,
  name: string,
  words: readonly string[],
): Promise<ChatSettings> {
  const setting = Object.hasOwn(all, name) ? all[name]! : undefined;
  const fix = "/set shows all settings";
  if (setting === undefined) {
    throw new InputError("CHAT_SETTING", { expected: `one of ${settingNames.join(", ")}`, got: name, fix });
  }
  try {
    return await setting.change(settings, words.length === 1 && words[0] === "off" ? [] : words);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    const expected = error.message.replace(/^Expected (.*)\.$/, "$1");
    throw new InputError("CHAT_SETTING", { expected, got: words.join(" "), where: name, fix });
  }
}

function samplingSetting(name: SamplingName): Setting {
  const range = samplingRanges[name];
  return {
    meaning: range.meaning,
    show: ({ sampling }) => String(sampling[name] ?? (name === "temperature" || name === "seed" ? 0 : "off")),
    change: (settings, [word]) => {
      const { [name]: _, ...rest } = settings.sampling;
      const value = word === undefined ? {} : { [name]: inRange(range)(word) };
      return { ...settings, sampling: { ...rest, ...value } };
    },
  };
}
