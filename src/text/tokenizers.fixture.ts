// The tokenizers that the tests run with: three tiny ones from goldens/, and the lab's where it is present.
import { readFileSync } from "node:fs";
import { lab } from "../../test/lab.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";

interface Golden {
  readonly strings: readonly string[];
  readonly said: Readonly<Record<"Q1" | "A1" | "Q2" | "A2", string>>;
  /** chat templates by the shape they have */
  readonly jinja: Readonly<Record<string, string>>;
  readonly tokenizers: Readonly<Record<string, TokenizerGolden>>;
}

interface TokenizerGolden {
  /** ids of each string as plain text */
  readonly plain: readonly (readonly number[])[];
  /** text of those ids where it differs from the string, by index */
  readonly decoded: Readonly<Record<string, string>>;
  /** text with control tokens in it, and its ids */
  readonly marked: readonly (readonly [text: string, ids: readonly number[]])[];
  /** ids of a conversation of two rounds with a picture, by shipped template */
  readonly conversations?: Readonly<Record<string, readonly number[]>>;
  /** ids of the prompt for the second answer and of the whole conversation, by shape of chat template */
  readonly jinja?: Readonly<Record<string, readonly [prompt: readonly number[], whole: readonly number[]]>>;
}

function readJson(path: string | URL): unknown {
  return JSON.parse(readFileSync(path, "utf8"));
}

const goldens = new URL("goldens/", import.meta.url);

export const golden = readJson(new URL("golden.json", goldens)) as Golden;

/** The files of a tiny tokenizer: "bytes", "pieces_first", "pieces_always" or "words". */
export function tinyFiles(name: string): { tokenizer: Record<string, unknown>; config: Record<string, unknown> } {
  return readJson(new URL(`${name}.json`, goldens)) as ReturnType<typeof tinyFiles>;
}

export function tinyTokenizer(name: string): Tokenizer {
  const { tokenizer, config } = tinyFiles(name);
  return createTokenizer({ tokenizerJson: tokenizer, tokenizerConfig: config, where: `${name}.json` });
}

export function labTokenizer(model: string): Tokenizer {
  const read = (file: string): unknown => readJson(lab.path(`models/${model}/${file}`));
  return createTokenizer({
    tokenizerJson: read("tokenizer.json"),
    tokenizerConfig: read("tokenizer_config.json"),
    where: `${model}/tokenizer.json`,
  });
}

/** Every tokenizer at hand, by name; the lab's models only where the lab is present. */
export const tokenizers: readonly (readonly [name: string, tokenizer: Tokenizer])[] = Object.keys(golden.tokenizers)
  .filter((name) => lab.present || !name.includes("-"))
  .map((name) => [name, name.includes("-") ? labTokenizer(name) : tinyTokenizer(name)]);
