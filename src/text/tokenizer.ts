// A model's tokenizer: plain text to ids and back, with control tokens kept strictly apart from text.
import * as huggingFace from "@huggingface/tokenizers";
import { InputError } from "../errors.ts";
import {
  readTokenizerFiles,
  type AddedToken,
  type Json,
  type NamedToken,
  type TokenizerFacts,
} from "./tokenizer-files.ts";
import { rewriteNormalizer, rewritePreTokenizer, type TextPlace } from "./tokenizer-rewrite.ts";
import { createDecodingStream, type DecodingStream } from "./stream.ts";

/** The part of the library's class that is used here (its own type declarations don't resolve under nodenext). */
interface Library {
  model: unknown;
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[]; tokens: string[] };
  decode(ids: readonly number[], options: { clean_up_tokenization_spaces: boolean }): string;
  id_to_token(id: number): string | undefined;
}
const Library = huggingFace.Tokenizer as unknown as new (tokenizerJson: Json, tokenizerConfig: Json) => Library;

export interface DecodeOptions {
  /** leave control tokens out of the text; false by default */
  readonly skipControl?: boolean;
}

/** A tokenizer with tokens appended, and the files that describe it. */
export interface AddedTokenizer {
  readonly tokenizer: Tokenizer;
  readonly tokenizerJson: Json;
  readonly tokenizerConfig: Json;
}

/** Text to ids and back. Text never becomes a control token; control tokens come only from `controlId`. */
export interface Tokenizer {
  /** largest id plus one */
  readonly vocabSize: number;
  readonly bos: NamedToken | undefined;
  readonly eos: NamedToken | undefined;
  readonly unk: NamedToken | undefined;
  readonly pad: NamedToken | undefined;
  /** true when the model expects BOS before every text */
  readonly addsBos: boolean;
  /**
   * Ids of plain text, without BOS or EOS. Control tokens typed in it (`</s>`, `<image>`) are split into ordinary
   * pieces. `place` decides about the prefix space of SentencePiece-style tokenizers; "start" by default.
   */
  encode(text: string, place?: TextPlace): number[];
  /** id of a control token, e.g. `<|im_end|>`; undefined when the tokenizer has no such control token */
  controlId(token: string): number | undefined;
  /** Splits TRUSTED text (a template's own words) at the control tokens written in it. */
  splitControls(text: string): (string | NamedToken)[];
  /** Text of ids; ids that no token has are left out. */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  /** Decodes id by id; what it emits, joined, equals `decode` of all ids. */
  stream(options?: DecodeOptions): DecodingStream;
  /** The same tokenizer with control tokens appended (those it has already keep their id), and the files to save. */
  withAdded(tokens: readonly string[]): AddedTokenizer;
}

export interface TokenizerOptions {
  /** parsed tokenizer.json */
  readonly tokenizerJson: unknown;
  /** parsed tokenizer_config.json; `{}` when there is none */
  readonly tokenizerConfig: unknown;
  /** the file's name, for errors */
  readonly where: string;
}

/**
 * Reads a tokenizer from its parsed files. tokenizer.json is the law: a text between two control tokens gets the ids
 * that Hugging Face's `tokenizers` gives it when control tokens are matched before normalisation (`normalized: false`).
 * Throws `TOKENIZER_INVALID`. A hostile file can hold a pattern that backtracks for long: load untrusted models in a
 * worker that can be ended.
 */
export function createTokenizer({ tokenizerJson, tokenizerConfig, where }: TokenizerOptions): Tokenizer {
  const facts = readTokenizerFiles(tokenizerJson, tokenizerConfig, where);
  const files = { json: tokenizerJson as Json, config: tokenizerConfig as Json };
  let library: Library;
  let encoders: Encoders;
  try {
    library = new Library(libraryFile(files.json), files.config);
    encoders = createEncoders(files.json, facts, library);
  } catch (cause) {
    const got = cause instanceof Error ? cause.message : String(cause);
    throw new InputError("TOKENIZER_INVALID", { expected: "a tokenizer.json that can be used", got, where, cause });
  }

  const controlIds = new Set([...facts.controls.values()].map((token) => token.id));
  const controlPattern = alternation([...facts.controls.keys()]);
  const decode = (ids: Iterable<number>, options: DecodeOptions = {}): string => {
    const shown = [...ids].filter(
      (id) => library.id_to_token(id) !== undefined && !(options.skipControl && controlIds.has(id)),
    );
    return shown.length === 0 ? "" : library.decode(shown, { clean_up_tokenization_spaces: false });
  };
  return {
    ...{
      vocabSize: facts.vocabSize,
      bos: facts.bos,
      eos: facts.eos,
      unk: facts.unk,
      pad: facts.pad,
      addsBos: facts.addsBos,
    },
    encode: (text, place = "start") => encodePlain(text, encoders, place, controlIds, facts.unk?.id),
    controlId: (token) => facts.controls.get(token)?.id,
    splitControls: (text) => splitControls(text, controlPattern, facts.controls),
    decode,
    stream: (options = {}) => createDecodingStream((ids) => decode(ids, options)),
    withAdded: (tokens) => addTokens(files, facts, tokens, where),
  };
}

type Encoders = Readonly<Record<TextPlace, Library>>;

/** The parts that the library insists on, without the post-processor: BOS and EOS are ours to place. */
function libraryFile(json: Json): Json {
  const { normalizer = null, pre_tokenizer = null, decoder = null, added_tokens = [] } = json;
  return {
    model: json["model"],
    normalizer,
    pre_tokenizer: rewritePreTokenizer(pre_tokenizer, "start"),
    decoder,
    post_processor: null,
    added_tokens,
  };
}

/** One encoder for each place; all share the model, and none knows a control token. */
function createEncoders(json: Json, facts: TokenizerFacts, library: Library): Encoders {
  const encoder = (place: TextPlace): Library => {
    const shell = new Library(
      {
        model: { type: "BPE", vocab: {}, merges: [] },
        normalizer: rewriteNormalizer(json["normalizer"], place),
        pre_tokenizer: rewritePreTokenizer(json["pre_tokenizer"], place),
        post_processor: null,
        decoder: null,
        added_tokens: facts.textual,
      },
      {},
    );
    shell.model = library.model;
    return shell;
  };
  return { start: encoder("start"), afterControl: encoder("afterControl"), inText: encoder("inText") };
}

function encodePlain(
  text: string,
  encoders: Encoders,
  place: TextPlace,
  controls: ReadonlySet<number>,
  unk: number | undefined,
): number[] {
  if (text.length === 0) return [];
  const { ids, tokens } = encoders[place].encode(text, { add_special_tokens: false });
  if (!ids.some((id) => controls.has(id) && id !== unk)) return ids;
  // some vocabularies hold a control token as a word of its own: spell it out character by character
  return ids.flatMap((id, i) => {
    if (!controls.has(id) || id === unk) return [id];
    const spelled = [...(tokens[i] ?? "")].flatMap(
      (character) => encoders.inText.encode(character, { add_special_tokens: false }).ids,
    );
    return spelled.flatMap((letter) => (controls.has(letter) ? (unk ?? []) : letter));
  });
}

function splitControls(
  text: string,
  pattern: RegExp | undefined,
  controls: ReadonlyMap<string, AddedToken>,
): (string | NamedToken)[] {
  if (pattern === undefined) return text.length === 0 ? [] : [text];
  const pieces: (string | NamedToken)[] = [];
  let strip = false;
  const pushText = (piece: string, before: AddedToken | undefined): void => {
    const left = strip ? piece.trimStart() : piece;
    const both = before?.lstrip === true ? left.trimEnd() : left;
    if (both.length > 0) pieces.push(both);
  };
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    const token = controls.get(match[0]);
    if (token === undefined) continue;
    pushText(text.slice(end, match.index), token);
    pieces.push({ token: token.content, id: token.id });
    strip = token.rstrip;
    end = match.index + match[0].length;
  }
  pushText(text.slice(end), undefined);
  return pieces;
}

/** A pattern that finds any of the strings, the longest first. */
function alternation(strings: readonly string[]): RegExp | undefined {
  if (strings.length === 0) return undefined;
  const escaped = [...strings]
    .sort((a, b) => b.length - a.length)
    .map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/gu, "\\$&"));
  return new RegExp(escaped.join("|"), "gu");
}

function addTokens(
  files: { json: Json; config: Json },
  facts: TokenizerFacts,
  tokens: readonly string[],
  where: string,
): AddedTokenizer {
  const { json, config } = files;
  // transformers only finds special tokens inside text reliably when they are matched before normalisation
  const added = ((json["added_tokens"] ?? []) as Json[]).map((token) =>
    token["special"] === true || tokens.includes(String(token["content"]))
      ? { ...token, special: true, normalized: false }
      : token,
  );
  let id = facts.vocabSize;
  for (const content of new Set(tokens)) {
    if (added.some((token) => token["content"] === content)) continue;
    const known = facts.controls.get(content)?.id;
    added.push({
      id: known ?? id++,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    });
  }
  const decoder = Object.fromEntries(added.map(({ id: key, ...token }) => [String(key), token]));
  const already = Array.isArray(config["additional_special_tokens"]) ? config["additional_special_tokens"] : [];
  const tokenizerJson = { ...json, added_tokens: added };
  const tokenizerConfig = {
    ...config,
    // the generic class takes tokenizer.json as it is; others rebuild parts of it
    tokenizer_class: "PreTrainedTokenizerFast",
    added_tokens_decoder: decoder,
    additional_special_tokens: [...new Set([...already, ...tokens])],
  };
  return { tokenizer: createTokenizer({ tokenizerJson, tokenizerConfig, where }), tokenizerJson, tokenizerConfig };
}
